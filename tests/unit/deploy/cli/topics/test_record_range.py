"""Which records `tail` reads: the newest over all partitions, all, and new ones."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Producer
from kafka.structs import TopicPartition

from labelstream.deploy.cli.common.connect import Broker, connect
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from labelstream.deploy.cli.topics.record_range import RecordRange
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker import bounded_reader

RECORDS = ((0, 10, "a"), (0, 40, "b"), (1, 20, "c"), (1, 30, "d"), (1, 50, "e"))  # partition, timestamp, value
FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    found = InMemoryBroker()
    producer = Producer({"bootstrap.servers": found.bootstrap})
    for partition, timestamp, value in RECORDS:
        producer.produce("t", value, partition=partition, timestamp=timestamp)
    assert producer.flush(10) == 0
    yield connect(KafkaSettings(bootstrap_servers=found.bootstrap))
    found.close()


@pytest.fixture
def consumer(broker: Broker) -> Iterator[Any]:
    with closing(bounded_reader.make_reader(broker.config)) as made:
        made.assign([FIRST, SECOND])
        yield made


def _values(records: Any) -> str:
    return b"".join(record.value for record in records).decode()


@pytest.mark.parametrize(
    ("count", "values", "has_older"),
    [(0, "", True), (1, "e", True), (3, "dbe", True), (4, "cdbe", True), (5, "acdbe", False), (9, "acdbe", False)],
)
def test_newest_are_chosen_by_timestamp(
    broker: Broker, consumer: Any, count: int, values: str, has_older: bool
) -> None:
    found, older = RecordRange(broker, consumer).newest(count)
    assert (_values(found), older) == (values, has_older)


def test_all_records_of_each_partition_come_in_order(broker: Broker, consumer: Any) -> None:
    (batch,) = RecordRange(broker, consumer).all()
    assert _values(record for record in batch if record.partition == 0) == "ab"
    assert _values(record for record in batch if record.partition == 1) == "cde"


def test_new_records_follow_the_newest(broker: Broker, consumer: Any) -> None:
    records = RecordRange(broker, consumer)
    records.newest(2)
    producer = Producer({"bootstrap.servers": broker.settings.bootstrap_servers})
    producer.produce("t", "f", partition=0, timestamp=5)
    assert producer.flush(10) == 0
    assert _values(next(records.and_new(from_start=False))) == "f"
    batches = islice(records.and_new(from_start=True), 9)
    found = ""
    while len(found) < 6:
        found += _values(next(batches))
    assert sorted(found) == list("abcdef")


class _WithGaps:
    """A consumer of one partition with the offsets 0 and 50 of 100, as transactions leave them."""

    def __init__(self) -> None:
        self.seeks: list[int] = []

    def assignment(self) -> set[TopicPartition]:
        return {FIRST}

    def beginning_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return {FIRST: 0}

    def end_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return {FIRST: 100}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.seeks.append(offset)


def test_newest_are_sought_beyond_gaps_of_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer: Any = _WithGaps()

    def read(kafka: Any, asked: Any, stops: Any) -> Iterator[Any]:
        return (
            SimpleNamespace(partition=0, offset=offset, timestamp=0)
            for offset in (0, 50)
            if consumer.seeks[-1] <= offset < stops[FIRST]
        )

    monkeypatch.setattr(bounded_reader, "read_up_to", read)
    records = RecordRange(Broker(KafkaSettings(bootstrap_servers="a:1"), {}), consumer)
    found, has_older = records.newest(1)
    assert ([record.offset for record in found], has_older) == ([50], True)
    assert consumer.seeks == [99, 96, 84, 36]
