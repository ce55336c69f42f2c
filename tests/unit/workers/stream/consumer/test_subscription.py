"""The input topics that exist, as the metadata tells: topics appear, vanish and come back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.records.inputs import InputTopics
from labelstream.workers.stream.consumer.assignment import PartitionAssignment
from labelstream.workers.stream.consumer.subscription import TELL_S, Subscription
from tests.support.clock import Clock
from tests.support.fake_consumer import Consumer

NAMED, PATTERN = InputTopics(("a", "b")), InputTopics((), r"logs\..*")
A0, B0 = TopicPartition("a", 0), TopicPartition("b", 0)


def subscribed(inputs: InputTopics, *topics: str) -> tuple[Subscription, Any, PartitionAssignment, Clock]:
    consumer, assignment, clock = Consumer(), PartitionAssignment(), Clock()
    made = Subscription(consumer, inputs, assignment, clock)  # type: ignore[arg-type]
    consumer._cluster.update(*topics)
    return made, consumer, assignment, clock


def test_consumer_matches_topics_by_the_setting() -> None:
    made, consumer, _, _ = subscribed(PATTERN, "logs.a", "logs.b", "other", "__logs.c")
    assert consumer._subscription.subscribed_pattern is made
    assert made.topics == {"logs.a", "logs.b"}
    assert [made.match(topic) for topic in ("logs.a", "my.logs.a", "__logs.a")] == [True, False, False]
    assert consumer._cluster.need_all_topic_metadata


def test_joining_poll_asks_for_metadata_until_topics_are_known() -> None:
    made, consumer, _, clock = subscribed(NAMED)
    with ThreadPoolExecutor(1) as io_thread:
        consumer._net._io_thread = io_thread.submit(threading.current_thread).result()
        assert (bool(made), io_thread.submit(bool, made).result()) == (True, True)
        consumer._cluster.update("a")
        assert (bool(made), io_thread.submit(bool, made).result()) == (False, True)
        consumer._cluster.update()
        assert bool(made)
        clock.now += TELL_S
        assert (bool(made), io_thread.submit(bool, made).result()) == (False, True)


def test_all_topics_are_asked_for_only_while_one_is_missing() -> None:
    _, consumer, _, _ = subscribed(NAMED, "a", "b")
    assert (consumer._cluster.need_all_topic_metadata, consumer._cluster.asked) == (False, {"a", "b"})
    consumer._cluster.update("a")
    assert consumer._cluster.need_all_topic_metadata
    consumer._cluster.update("a", "b", "c")
    assert not consumer._cluster.need_all_topic_metadata


def test_partitions_of_deleted_topic_are_lost(caplog: pytest.LogCaptureFixture) -> None:
    _, consumer, assignment, _ = subscribed(NAMED, "a", "b")
    assignment.on_partitions_assigned([A0, B0])
    kept, lost = assignment.get(A0), assignment.get(B0)
    consumer._cluster.update("a")
    assert kept is not None
    assert lost is not None
    assert (kept.revoked, lost.revoked, assignment.get(B0)) == (False, True, None)
    assert caplog.messages == ["input topic b was deleted: its partitions are given up"]


def test_topic_that_is_back_is_released_before_it_is_read() -> None:
    made, consumer, assignment, _ = subscribed(NAMED, "a", "b")
    assignment.on_partitions_assigned([A0, B0])
    consumer._subscription.assignment = {A0: None, B0: None}
    consumer._cluster.update("a")
    consumer._cluster.update("a", "b")
    made.release()
    assert (made.topics, made.match("b"), consumer._cluster.updates) == ({"a"}, False, 0)
    assert made.alarms() == {}
    consumer._subscription.assignment = {A0: None}
    made.release()
    assert (made.match("b"), consumer._cluster.updates) == (True, 1)
    consumer._cluster.update("a", "b")
    assert made.topics == {"a", "b"}


@pytest.mark.parametrize(
    ("inputs", "topics", "alarm"),
    [
        (NAMED, ("a", "b"), None),
        (NAMED, ("a",), "input topic b does not exist; the pipeline reads the others; create it with"),
        (NAMED, (), "input topic a, b does not exist; the pipeline waits; create it with"),
        (PATTERN, ("logs.x",), None),
        (PATTERN, ("other",), r"no topic matches logs\..*; the pipeline waits for one"),
    ],
)
def test_missing_topics_raise_an_alarm(inputs: InputTopics, topics: tuple[str, ...], alarm: str | None) -> None:
    made, _, _, clock = subscribed(inputs, *topics)
    assert made.alarms() == {}, "not before the brokers may have answered"
    clock.now += TELL_S
    found = made.alarms().get("input")
    assert found is None if alarm is None else (found or "").startswith(alarm)


def test_subscription_waits_only_after_an_answer() -> None:
    """Hazard: a slow start took input topics for new ones, which start at their beginning."""
    consumer, clock = Consumer(), Clock()
    made = Subscription(consumer, NAMED, PartitionAssignment(), clock)  # type: ignore[arg-type]
    clock.now += TELL_S
    assert not made.waits()
    consumer._cluster.update()
    assert made.waits()


def test_subscription_waits_only_without_any_topic() -> None:
    made, consumer, _, clock = subscribed(PATTERN)
    assert not made.waits()
    clock.now += TELL_S
    assert made.waits()
    consumer._cluster.update("logs.a")
    assert not made.waits()
