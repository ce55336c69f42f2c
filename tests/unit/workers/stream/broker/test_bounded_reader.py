"""Reading what stands in a topic now: up to offsets, over gaps, and no longer than it is worth."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker import bounded_reader
from labelstream.workers.stream.broker.bounded_reader import make_reader, partitions_of, read_up_to
from tests.support.clock import Clock

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9")
FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    """Gives `polls` one after the other, {partition: offsets}; a position is behind what was given, or as `skips` say.

    Each poll takes a second.
    """

    def __init__(self, clock: Clock, *polls: dict[TopicPartition, list[int]], **skips: int) -> None:
        self._clock, self._polls = clock, list(polls)
        self._positions: dict[TopicPartition, int | None] = {FIRST: None, SECOND: skips.get("second", 0)}

    def position(self, partition: TopicPartition, timeout_ms: int) -> int | None:
        return self._positions[partition]

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self._clock.now += 1
        found = self._polls.pop(0) if self._polls else {}
        for partition, offsets in found.items():
            self._positions[partition] = offsets[-1] + 1
        return {
            partition: [SimpleNamespace(partition=partition.partition, offset=offset) for offset in offsets]
            for partition, offsets in found.items()
        }

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {2, 0, 1} if topic == "t" else None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(bounded_reader, "time", SimpleNamespace(monotonic=made))
    return made


def read(consumer: Any, **stops: int) -> list[tuple[int, int]]:
    places = {FIRST: stops["first"], SECOND: stops.get("second", 0)}
    return [(record.partition, record.offset) for record in read_up_to(KAFKA, consumer, places)]


def test_records_before_the_stops_are_read(clock: Clock) -> None:
    consumer = Consumer(clock, {FIRST: [0, 1]}, {}, {FIRST: [2, 3, 4], SECOND: [0]})
    assert read(consumer, first=4, second=1) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_gap_before_the_stop_is_no_record_that_is_missing(clock: Clock) -> None:
    """As compaction or an aborted transaction leaves one: the position passes it."""
    assert read(Consumer(clock, {FIRST: [0]}, second=9), first=1, second=9) == [(0, 0)]


def test_nothing_is_polled_where_nothing_stands(clock: Clock) -> None:
    consumer = Consumer(clock)
    assert read(consumer, first=0) == []
    assert clock.now == Clock().now


def test_silence_before_the_end_is_an_error(clock: Clock) -> None:
    with pytest.raises(StartError, match=r"^no record for 10 s before the end of the topic; is a broker down"):
        read(Consumer(clock, {FIRST: [0]}), first=2)


def test_time_that_the_caller_takes_is_no_silence(clock: Clock) -> None:
    consumer: Any = Consumer(clock, {FIRST: [0]}, {}, {FIRST: [1]})
    found = []
    for record in read_up_to(KAFKA, consumer, {FIRST: 2}):
        found.append(record.offset)
        clock.now += 60
    assert found == [0, 1]


def test_partitions_of_a_topic_that_is_not_there_are_none(clock: Clock) -> None:
    consumer: Any = Consumer(clock)
    assert [partition.partition for partition in partitions_of(consumer, "t")] == [0, 1, 2]
    assert partitions_of(consumer, "other") == []


def test_reader_joins_no_group_and_sees_no_open_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_reader, "KafkaConsumer", lambda **config: config)
    monkeypatch.setattr(bounded_reader, "read_any_record", lambda consumer: None)
    config: Any = make_reader({"bootstrap_servers": ["a:1"]}, from_beginning=False)
    assert (config["group_id"], config["enable_auto_commit"]) == (None, False)
    assert (config["isolation_level"], config["auto_offset_reset"]) == ("read_committed", "latest")
