"""The records that dead letters were made of, looked up where they came from."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import TopicAuthorizationFailedError
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.settings import KafkaSettings
from labelstream.workers.stream.broker.bounded_reader import make_reader, partitions_of, read_up_to
from labelstream.workers.stream.broker.connection import translate_kafka_errors
from labelstream.workers.stream.broker.topics import TOPIC_NAME
from labelstream.workers.stream.codec.encode import omission
from labelstream.workers.stream.dlq.dead_letters import DeadLetter


class SourceRecords:
    """Owns a consumer, made when it is first needed."""

    def __init__(self, config: dict[str, Any], kafka: KafkaSettings) -> None:
        self._config, self._kafka = config, kafka
        self._consumer: KafkaConsumer | None = None

    def find(self, letter: DeadLetter) -> ConsumerRecord | None:
        """The very record whose value `letter` lacks; None where it is gone. Raises StartError."""
        if not TOPIC_NAME.fullmatch(letter.topic):
            return None
        record = self._read(TopicPartition(letter.topic, letter.partition), letter.offset)
        return record if record is not None and omission(record.value) == letter.omitted else None

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=2_000)

    def _read(self, partition: TopicPartition, offset: int) -> ConsumerRecord | None:
        with translate_kafka_errors(self._kafka), _readable(partition.topic):
            consumer = self._consumer = self._consumer or make_reader(self._config)
            if partition not in partitions_of(consumer, partition.topic):
                return None
            begin, end = (ask([partition])[partition] for ask in (consumer.beginning_offsets, consumer.end_offsets))
            if not begin <= offset < end:
                return None
            consumer.assign([partition])
            consumer.seek(partition, offset)
        return next(read_up_to(self._kafka, consumer, {partition: offset + 1}), None)


@contextmanager
def _readable(topic: str) -> Iterator[None]:
    try:
        yield
    except TopicAuthorizationFailedError:
        raise StartError(
            f"topic {topic}: no permission to read it, where values are that did not fit into their dead "
            "letters; grant READ on it"
        ) from None
