"""Start offsets of partitions without a committed offset, on a real broker."""

import logging
import time
from collections.abc import Callable

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.stream import run_factory
from labelstream.workers.stream.consumer.assignment import as_kafka
from labelstream.workers.stream.consumer.source import RecordSource
from tests.integration.conftest import MakeSource, MakeTopic, StartWorker
from tests.kafka import Broker
from tests.support.streams import Topics, committed, messages, poll_until, produce, read_ids, spread, wait_until

NONE = -1001  # librdkafka's value for no offset


def received(
    source: RecordSource, until: Callable[[dict[int, list[int]]], bool], timeout_s: float = 20.0
) -> dict[int, list[int]]:
    """Offsets received by partition until the condition holds."""
    found: dict[int, list[int]] = {}
    deadline = time.monotonic() + timeout_s
    while not until(found):
        assert time.monotonic() < deadline, found
        source.assignment.release()
        for progress, records in source.poll(100, False):
            found.setdefault(progress.partition.partition, []).extend(record.offset for record in records)
    return found


def started(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """Log lines about start offsets, without the topic's name."""
    return [
        record.getMessage().partition(": ")[2]
        for record in caplog.records
        if record.name == "labelstream.workers.stream.consumer.start_offsets" and record.levelno == level
    ]


def fill(kafka: Broker, topic: str, counts: dict[int, int]) -> None:
    for partition, count in counts.items():
        produce(kafka.bootstrap, topic, [(None, b"some text")] * count, partition=partition)


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_latest_loses_no_message_of_added_partition(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, delivery: str
) -> None:
    make = run_factory.make_consumer
    monkeypatch.setattr(
        run_factory, "make_consumer", lambda config, *more: make({**config, "metadata_max_age_ms": 1_000}, *more)
    )
    topics = Topics(make_topic(1), make_topic(1), make_topic(1))
    produce(kafka.bootstrap, topics.input, messages(10))
    worker = start_worker(topics, group_id=topics.input, start_from="latest", delivery=delivery)
    wait_until(lambda: committed(kafka.bootstrap, topics.input, topics.input) == {0: 10}, 30, "the start")
    kafka.add_partitions(topics.input, 2)
    for partition in (0, 1):
        produce(kafka.bootstrap, topics.input, messages(50, first=100 + 50 * partition), partition=partition)
    assert sorted(read_ids(kafka.bootstrap, topics.output, 100)) == list(range(100, 200))
    wait_until(lambda: worker.stats()["lag"] == 0, 20, "its commit")


def test_added_partition_starts_at_its_beginning(
    kafka: Broker, topic: str, make_source: MakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fill(kafka, topic, {0: 10})
    source = make_source(topic, start_from="latest")
    received(source, lambda _: committed(kafka.bootstrap, topic, topic) == {0: 10})
    said = "the group is new: it starts at the end of partition 0, start_from: latest, and skips 10 messages"
    assert started(caplog, logging.INFO) == [said]
    kafka.add_partitions(topic, 2)
    fill(kafka, topic, {1: 5})  # no member polls meanwhile
    assert received(source, lambda found: 1 in found) == {1: [0, 1, 2, 3, 4]}
    assert committed(kafka.bootstrap, topic, topic) == {0: 10, 1: 0}
    added = "partitions are new to the group: it reads partition 1 from the start, 5 messages"
    assert started(caplog, logging.INFO)[1:] == [added]
    assert started(caplog) == []


def test_new_group_starts_every_partition_at_end(kafka: Broker, make_topic: MakeTopic, make_source: MakeSource) -> None:
    """One member decides for all: a committed offset would tell other members that the group is not new."""
    topic = make_topic(4)
    fill(kafka, topic, dict.fromkeys(range(4), 10))
    members = [make_source(topic, start_from="latest") for _ in range(3)]
    poll_until(members, lambda: spread(members) == [1, 1, 2])
    wait_until(lambda: committed(kafka.bootstrap, topic, topic) == dict.fromkeys(range(4), 10), 20, "the start")
    fill(kafka, topic, dict.fromkeys(range(4), 1))
    found: dict[int, list[int]] = {}
    for member in members:
        found |= received(member, lambda some, member=member: len(some) == spread([member])[0])
    assert found == {number: [10] for number in range(4)}


def test_death_before_first_commit_loses_nothing(
    kafka: Broker, make_topic: MakeTopic, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_topic(2)
    fill(kafka, topic, {0: 10, 1: 10})
    first = make_source(topic, start_from="latest")
    monkeypatch.setattr(first._starting, "_commit_and_seek", lambda offsets, missing: False)
    received(first, lambda _: spread([first]) == [2])
    first.poll(100, False)
    assert committed(kafka.bootstrap, topic, topic) == {0: NONE, 1: NONE}
    first.close(2_000)
    fill(kafka, topic, {0: 1})
    second = make_source(topic, start_from="latest")
    received(second, lambda _: committed(kafka.bootstrap, topic, topic) == {0: 11, 1: 10})
    fill(kafka, topic, {0: 1})
    assert received(second, bool) == {0: [11]}


@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_expired_offset_is_logged(
    kafka: Broker, make_topic: MakeTopic, make_source: MakeSource, caplog: pytest.LogCaptureFixture, start_from: str
) -> None:
    topic = make_topic(2)
    with kafka.admin() as admin:
        fill(kafka, topic, {0: 10, 1: 10})
        admin.delete_records({TopicPartition(topic, 0): 4})
        admin.alter_group_offsets(topic, as_kafka({TopicPartition(topic, 1): 10}))
    found = received(make_source(topic, start_from=start_from), bool)
    assert found == {0: [4, 5, 6, 7, 8, 9]}
    assert started(caplog) == [
        "the group has offsets in other partitions, and this one has lost messages to retention: its offset has "
        "expired, or it was added long ago: it reads partition 0 from the start, 6 messages, which may have been "
        "classified before; 4 messages before them were deleted by retention"
    ]


def test_recreated_topic_is_read_from_its_beginning(
    kafka: Broker, topic: str, make_source: MakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(kafka, topic, {0: 10})
    source = make_source(topic, start_from="latest")
    received(source, lambda _: committed(kafka.bootstrap, topic, topic) == {0: 10})
    with kafka.admin() as admin:
        admin.delete_topics([topic])
    received(source, lambda _: spread([source]) == [0])
    wait_until(lambda: created(kafka, topic), 20, "the topic's end")
    fill(kafka, topic, {0: 5})
    assert received(source, bool) == {0: [0, 1, 2, 3, 4]}
    assert "the topic was recreated: it reads partition 0 from the start, 5 messages" in started(caplog)[-1]


def test_topic_recreated_at_once_is_read_from_its_beginning(
    kafka: Broker, topic: str, make_source: MakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    """The consumer notices the deletion by an offset that the new topic does not have."""
    fill(kafka, topic, {0: 10})
    source = make_source(topic, start_from="latest", on_offset_out_of_range="earliest")
    received(source, lambda _: committed(kafka.bootstrap, topic, topic) == {0: 10})
    with kafka.admin() as admin:
        admin.delete_topics([topic])
    wait_until(lambda: created(kafka, topic), 20, "the topic's end")
    fill(kafka, topic, {0: 5})
    assert received(source, bool) == {0: [0, 1, 2, 3, 4]}
    assert "5 messages" in started(caplog)[-1]


def created(kafka: Broker, topic: str) -> bool:
    try:
        kafka.create_topic(topic)
    except Exception:
        return False
    return True


def test_new_group_on_empty_topic_logs_no_warning(
    topic: str, kafka: Broker, make_source: MakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    received(make_source(topic), lambda _: committed(kafka.bootstrap, topic, topic) == {0: 0})
    assert started(caplog) == []
    assert len(started(caplog, logging.INFO)) == 1
