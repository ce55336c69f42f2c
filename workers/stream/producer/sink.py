"""Result sink: produces the results and dead letters of a micro-batch.

`ResultSink.produce` returns a `ProducedBatch`. Offsets may advance only when the broker has acknowledged all its
records.
"""

import logging
import time
from collections.abc import Callable

from labelstream.workers.errors import RecordRefused
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.flow_control.send_window import MAX_BYTES
from labelstream.workers.stream.log_throttle import LogThrottle
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.kafka_producer.producers import Producer
from labelstream.workers.stream.producer.output_partitions import OutputPartitions
from labelstream.workers.stream.producer.produced_batch import ProducedBatch, TopicPartitionOffset
from labelstream.workers.stream.producer.record_sender import RecordSender
from labelstream.workers.stream.producer.refusal_isolation import ACK_TIMEOUT_S, RefusalIsolation
from labelstream.workers.stream.producer.result_encoder import ResultEncoder
from labelstream.workers.stream.producer.size_limit import items_within
from labelstream.workers.stream.producer.topic_requirements import TopicRequirements
from labelstream.workers.stream.stats import by_reason

logger = logging.getLogger(__name__)


class ResultSink:
    """Owns and closes `producer`. Use from one thread."""

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        producer: Producer,
        limits: TopicLimits,
        ack_timeout_s: float = ACK_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._producer, self._clock = name, producer, clock
        self._copies = 2 if settings.review else 1  # records of one item, at most
        self._encoder = ResultEncoder(name, settings)
        self._partitions = OutputPartitions(settings, producer)
        self._dead_letter_log = LogThrottle(self._log_dead_letters)
        requirements = TopicRequirements(name, settings, limits)
        self.isolation = RefusalIsolation(settings, producer, requirements, ack_timeout_s)
        self._sender = RecordSender(name, settings, producer, limits, requirements, self._partitions, self.isolation)

    def lacking(self) -> dict[str, str]:
        """See `OutputPartitions.lacking`."""
        return self._partitions.lacking()

    def ready_for(self, batch: MicroBatch) -> bool:
        """May `batch` be produced? True if its topics and partitions exist and no record sent alone awaits its ack."""
        return self._partitions.ready_for(batch) and not self.isolation.waits()

    def produce(self, batch: MicroBatch, room: int = MAX_BYTES) -> ProducedBatch | None:
        """Produce one record for each item of the resolved `batch`; None if not ready. Results go last, in order.

        Sends up to `room` bytes and at least one item; the other items become the `rest` of the produced batch. Drops
        items of revoked partitions: the next owner repeats them. Raises `StreamError` if the producer cannot take a
        record.
        """
        if not self.ready_for(batch):
            return None
        self.isolation.begin(batch)
        if not batch.encoded:
            batch.encoded = self._encoder.encode(batch.items, batch.outcomes)
        count = 1
        if not self.isolation.active:
            count = items_within(room // self._copies, batch.items, batch.encoded, self._sender.texts_for_review)
        head, rest = (batch, None) if count >= len(batch.items) else batch.split(count)
        produced = ProducedBatch(head, rest, self._clock)
        try:
            self._sender.send(produced)
        except RecordRefused as error:
            produced.cut_short(error)
        head.encoded = []  # kafka-python has a copy
        if self.isolation.active:
            self.isolation.end(whole=rest is None)
        if produced.first_dead:
            counts = by_reason(produced.tally.dead_letters)
            for reason, first in produced.first_dead.items():
                self._dead_letter_log.add(reason, counts[reason], first)
        return produced

    def throttled_s(self) -> float:
        """Seconds until a broker that throttles this client takes records again; 0 without a quota."""
        return self._producer.throttled_s()

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for acknowledgements and close the producer."""
        self._dead_letter_log.close()
        self._producer.close(timeout_s)

    def _log_dead_letters(self, reason: str, count: int, first: TopicPartitionOffset) -> None:
        topic, partition, offset = first
        logger.info(
            "pipeline %s: %d dead letter%s (%s), first %s:%d:%d",
            self._name,
            count,
            "" if count == 1 else "s",
            reason,
            *first,
            extra={"topic": topic, "partition": partition, "offset": offset, "reason": reason},
        )
