"""A slow or missing output topic slows the pipeline down; nothing restarts or is repeated."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from labelstream.workers.stream.worker import PipelineWorker
from tests.integration.conftest import MakeTopic, StartWorker
from tests.kafka import Broker, KafkaBroker
from tests.support.streams import Topics, produce, read_all, read_ids, wait_until

DELIVERIES = pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
TIMEOUTS = {
    "request_timeout_ms": 2_000,
    "delivery_timeout_ms": 4_000,
    "transaction_timeout_ms": 6_000,
    "compression": "none",
}


@pytest.fixture
def topics(make_topic: MakeTopic) -> Topics:
    return Topics(make_topic(2), make_topic(2), make_topic())


@contextmanager
def throttled(broker: Broker, bytes_per_s: float) -> Iterator[None]:
    """Limit producers to an average of `bytes_per_s` over the broker's window of 10 s."""
    broker.set_quota("labelstream", "producer_byte_rate", bytes_per_s)
    try:
        yield
    finally:
        broker.set_quota("labelstream", "producer_byte_rate", None)


def feed(broker: Broker, topics: Topics, count: int, size: int = 10, first: int = 0, partition: int = -1) -> None:
    produce(
        broker.bootstrap,
        topics.input,
        [
            (b"k%d" % (number % 9), json.dumps({"text": "x", "id": number, "metadata": {"y": "y" * size}}).encode())
            for number in range(first, first + count)
        ],
        partition=partition,
    )


def alarms(worker: PipelineWorker) -> str:
    return "\n".join(worker.stats()["alarms"])


@DELIVERIES
def test_produce_quota_only_slows_pipeline(
    kafka: Broker, topics: Topics, start_worker: StartWorker, delivery: str
) -> None:
    """Records wait longer than every timeout, and one record's pause is longer than a transaction."""
    with throttled(kafka, 20_000):
        feed(kafka, topics, 20, 5_000)
        feed(kafka, topics, 1, 150_000, first=20)
        feed(kafka, topics, 10, 5_000, first=21)
        worker = start_worker(topics, kafka=TIMEOUTS, delivery=delivery)
        wait_until(lambda: "throttle" in alarms(worker), 20, "the alarm")
        assert worker.stats()["results_out"] < 31
        wait_until(lambda: worker.stats()["results_out"] == 31, 40, "the last result")
        worker.check()
    ids = Counter(read_ids(kafka.bootstrap, topics.output, 31))
    assert ids == dict.fromkeys(range(31), 1)
    assert worker.stats()["restarts"] == 0
    wait_until(lambda: not alarms(worker), 20, "the end of the alarm")


@DELIVERIES
def test_missing_output_partition_is_waited_for(
    kafka: Broker, topics: Topics, make_topic: MakeTopic, start_worker: StartWorker, delivery: str
) -> None:
    topics = Topics(topics.input, make_topic(1), topics.dead_letter)
    worker = start_worker(topics, delivery=delivery, output_partition="same")
    feed(kafka, topics, 50, partition=0)
    assert len(read_ids(kafka.bootstrap, topics.output, 50)) == 50
    feed(kafka, topics, 50, first=50, partition=1)
    wait_until(lambda: f"topic {topics.output} has no partition 1 " in alarms(worker), 20, "the alarm")
    assert f"--alter --topic {topics.output} --partitions 2" in alarms(worker)
    kafka.add_partitions(topics.output, 2)
    found = read_all(kafka.bootstrap, topics.output, lambda found: len(found) >= 100, 30)
    assert Counter(message.partition() for message in found) == {0: 50, 1: 50}
    assert [json.loads(m.value())["id"] for m in found if m.partition() == 1] == list(range(50, 100))
    wait_until(lambda: not alarms(worker), 20, "the end of the alarm")
    assert worker.stats()["restarts"] == 0


@DELIVERIES
def test_deleted_dead_letter_topic_is_waited_for(
    kafka: Broker, topics: Topics, start_worker: StartWorker, delivery: str
) -> None:
    worker = start_worker(topics, delivery=delivery)
    feed(kafka, topics, 10)
    wait_until(lambda: worker.stats()["results_out"] == 10, 30, "the first results")
    with kafka.admin() as admin:
        admin.delete_topics([topics.dead_letter])
    produce(kafka.bootstrap, topics.input, [(b"k1", b"no JSON")])
    feed(kafka, topics, 10, first=10)
    wait_until(lambda: topics.dead_letter in alarms(worker), 20, "the alarm")
    kafka.create_topic(topics.dead_letter)
    assert Counter(read_ids(kafka.bootstrap, topics.output, 20)) == dict.fromkeys(range(20), 1)
    wait_until(lambda: not alarms(worker), 20, "the end of the alarm")
    [letter] = read_all(kafka.bootstrap, topics.dead_letter, bool, 30)
    assert letter.value() == b"no JSON"
    assert worker.stats()["restarts"] == 0


@DELIVERIES
def test_silent_broker_is_waited_for(kafka: Broker, topics: Topics, start_worker: StartWorker, delivery: str) -> None:
    """The outage is longer than request, delivery and transaction timeouts."""
    assert isinstance(kafka, KafkaBroker)
    worker = start_worker(topics, kafka=TIMEOUTS, delivery=delivery, max_poll_records=20, transaction_interval_ms=100)
    feed(kafka, topics, 2_000, 2_000)
    wait_until(lambda: worker.stats()["results_out"] > 100, 30, "the first results")
    try:
        for pid in kafka.pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
    finally:
        for pid in kafka.pids:
            os.kill(pid, signal.SIGCONT)
    assert Counter(read_ids(kafka.bootstrap, topics.output, 2_000)) == dict.fromkeys(range(2_000), 1)
    wait_until(lambda: not alarms(worker), 20, "the end of the alarm")
    assert worker.stats()["restarts"] == 0
