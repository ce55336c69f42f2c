"""Output topics and partitions: micro-batches wait while some are missing; records without a key keep their order."""

import time
from collections.abc import Callable
from zlib import crc32

from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import TopicPartition

from labelstream.workers.records.routes import route_topics
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import written_topics
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.kafka_producer.producers import Producer

TELL_S = 3.0
AGAIN_S = 1.0  # kafka-python refreshes its metadata every five minutes


class OutputPartitions:
    """Output topics and partitions of one pipeline. Use from one thread."""

    def __init__(
        self, settings: PipelineSettings, producer: Producer, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._producer, self._clock = producer, clock
        self._topics = written_topics(settings)
        self._result_topics = [settings.output, *route_topics(settings.route)]
        self._same_partition = settings.output_partition == "same"
        self._several_inputs = len(settings.inputs.names) != 1
        self._look_at = 0.0
        self._known: dict[str, set[int]] = {}  # partitions by topic
        self._missing, self._missing_since = "", 0.0

    def ready_for(self, batch: MicroBatch) -> bool:
        """Do all topics and partitions for `batch` exist? Never waits."""
        now, previously, self._missing = self._clock(), self._missing, self._lacking(batch)
        self._missing_since = self._missing_since if previously else now
        if self._missing and now >= self._look_at:
            self._look_at = now + AGAIN_S
            self._producer.look_for(self._topics)
        return not self._missing

    def place(self, topic: str, record: ProducerRecord, source: ConsumerRecord | TopicPartition) -> None:
        """Give a `record` without a key a partition of `topic` that keeps the order of the partition of `source`.

        Call after `ready_for`.
        """
        if record.key is None and record.partition is None:
            # The partitions 0 of many input topics would otherwise share one partition.
            shift = crc32(source.topic.encode()) if self._several_inputs else 0
            record.partition = (source.partition + shift) % len(self._known[topic])

    def lacking(self) -> dict[str, str]:
        """The alarm for missing topics or partitions; empty for TELL_S, in which the brokers may answer."""
        return {"destination": self._missing} if self._missing and self._clock() > self._missing_since + TELL_S else {}

    def _lacking(self, batch: MicroBatch) -> str:
        self._known = known = {topic: self._producer.partitions(topic) for topic in self._topics}
        if unknown := [topic for topic, numbers in known.items() if not numbers]:
            fix = "the pipeline waits; create it with `labelstream topics create -c FILE`"
            return f"topic {', '.join(unknown)} does not exist: {fix}"
        if not self._same_partition:
            return ""
        numbers = {progress.partition.partition for progress, _ in batch.last_offsets if not progress.revoked}
        for topic in self._result_topics:
            if missing := sorted(numbers - known[topic]):
                return (
                    f"topic {topic} has no partition {', '.join(map(str, missing))} for output_partition: same; "
                    f"the pipeline waits; add partitions, for example with kafka-topics.sh "
                    f"--bootstrap-server HOST:PORT --alter --topic {topic} --partitions {missing[-1] + 1}"
                )
        return ""
