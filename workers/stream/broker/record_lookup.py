"""Look up single records by topic, partition and offset, many at a time."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import TopicAuthorizationFailedError
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.bounded_reader import make_reader, partitions_of, read_up_to
from labelstream.workers.stream.broker.connection import translate_kafka_errors
from labelstream.workers.stream.broker.topics import TOPIC_NAME

Run = tuple[int, int]  # first and last offset
_LARGEST_GAP = 1_000  # records to read over; beyond a larger gap, seek


class RecordPlace(NamedTuple):
    topic: str
    partition: int
    offset: int


class RecordLookup:
    """Owns a consumer without a group, made on first use.

    `wanted_for`: content of the topics, for the error of a missing right.
    """

    def __init__(self, config: dict[str, Any], kafka: KafkaSettings, wanted_for: str) -> None:
        self._config, self._kafka, self._wanted_for = config, kafka, wanted_for
        self._consumer: KafkaConsumer | None = None

    def find(self, places: Iterable[RecordPlace]) -> dict[RecordPlace, ConsumerRecord | str]:
        """The record at each place, or the reason why there is none. Raises StartError.

        Reads all partitions in parallel, each in runs of nearby offsets.
        """
        found: dict[RecordPlace, ConsumerRecord | str] = dict.fromkeys(
            places, "the record is gone: compacted, or its transaction was aborted"
        )
        if not found:
            return found
        with translate_kafka_errors(self._kafka), self._readable({place.topic for place in found}):
            consumer = self._consumer = self._consumer or make_reader(self._config)
            wanted, reasons = _within(consumer, list(found))
        found |= reasons
        while wanted:
            turn = {partition: runs.pop() for partition, runs in wanted.items()}
            for record in self._read(consumer, turn):
                place = RecordPlace(record.topic, record.partition, record.offset)
                if place in found:
                    found[place] = record
            wanted = {partition: runs for partition, runs in wanted.items() if runs}
        return found

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=2_000)

    def _read(self, consumer: KafkaConsumer, turn: Mapping[TopicPartition, Run]) -> Iterator[ConsumerRecord]:
        with translate_kafka_errors(self._kafka):
            consumer.assign(list(turn))
            for partition, (first, _) in turn.items():
                consumer.seek(partition, first)
        yield from read_up_to(self._kafka, consumer, {partition: last + 1 for partition, (_, last) in turn.items()})

    @contextmanager
    def _readable(self, topics: set[str]) -> Iterator[None]:
        try:
            yield
        except TopicAuthorizationFailedError:
            names = ", ".join(sorted(topics))
            raise StartError(f"topic {names}: no permission to read {self._wanted_for}; grant READ on it") from None


def _within(
    consumer: KafkaConsumer, places: list[RecordPlace]
) -> tuple[dict[TopicPartition, list[Run]], dict[RecordPlace, str]]:
    """Runs of offsets within the logs by partition, and the reasons for places outside."""
    topics = {place.topic for place in places if TOPIC_NAME.fullmatch(place.topic)}
    known = [partition for topic in topics for partition in partitions_of(consumer, topic)]
    wanted = [tp for tp in known if any((tp.topic, tp.partition) == place[:2] for place in places)]
    begins, ends = (ask(wanted) if wanted else {} for ask in (consumer.beginning_offsets, consumer.end_offsets))
    reasons, offsets = {}, dict[TopicPartition, list[int]]()
    for place in places:
        partition = TopicPartition(place.topic, place.partition)
        if partition not in begins:
            reasons[place] = "unknown topic or partition"
        elif place.offset < begins[partition]:
            reasons[place] = f"deleted by retention: the log begins at {begins[partition]}"
        elif place.offset >= ends[partition]:
            reasons[place] = f"the log ends at {ends[partition]}"
        else:
            offsets.setdefault(partition, []).append(place.offset)
    return {partition: _runs(sorted(found)) for partition, found in offsets.items()}, reasons


def _runs(offsets: list[int]) -> list[Run]:
    runs = [(offsets[0], offsets[0])]
    for offset in offsets[1:]:
        first, last = runs[-1]
        if offset - last <= _LARGEST_GAP:
            runs[-1] = first, offset
        else:
            runs.append((offset, offset))
    return runs
