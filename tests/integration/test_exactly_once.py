"""Exactly-once delivery on a real broker: results of read_committed readers despite stops and rebalances."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka.structs import ConsumerGroupMetadata  # pyright: ignore[reportAttributeAccessIssue]
from kafka.structs import TopicPartition as KafkaPartition

from labelstream.workers import failpoints
from labelstream.workers.stream.broker.connection import connected_config
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.delivery.hanging_transactions import HangingTransactions, _offsets_partition
from labelstream.workers.stream.delivery.last_transaction import LastTransaction
from labelstream.workers.stream.delivery.transactions import TransactionalProducer
from labelstream.workers.stream.producer.kafka_producer.client import make_transactional_producer
from labelstream.workers.stream.producer.kafka_producer.workarounds import end
from tests.integration.conftest import StartWorker
from tests.kafka import Broker, KafkaBroker
from tests.support.streams import (
    Topics,
    assert_order,
    committed,
    make_topics,
    messages,
    produce,
    read_all,
    read_letters,
    settings_for,
    wait_until,
)

EXACTLY = {"delivery": "exactly_once", "transaction_interval_ms": 100}


def ids_of(bootstrap: str, topic: str, count: int) -> Counter[int]:
    """Number of results by id for a read_committed reader, a moment after `count` ids are there."""
    read_all(bootstrap, topic, lambda found: len(found) >= count)
    time.sleep(1)
    found = read_all(bootstrap, topic, lambda found: False, timeout_s=2)
    return Counter(json.loads(message.value())["id"] for message in found)


def test_transactions_commit_results_with_offsets_once(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    topics = make_topics(make_topic)
    produce(kafka.bootstrap, topics.input, [*messages(5_000), (b"k", b"no json")])
    worker = start_worker(topics, output_partition="same", **EXACTLY)
    found = read_all(kafka.bootstrap, topics.output, lambda found: len(found) >= 5_000)
    results = [json.loads(message.value()) for message in found]
    assert Counter(r["id"] for r in results) == Counter(range(5_000))
    assert_order(results)
    ((headers, _),) = read_letters(kafka.bootstrap, topics.dead_letter, 1)
    assert headers["labelstream.reason"] == "invalid_json"
    wait_until(lambda: sum(committed(kafka.bootstrap, "labelstream-p", topics.input).values()) == 5_001, 20, "commit")
    assert worker.stop(10)
    assert worker.stats()["results_out"] == 5_000


def test_workers_come_and_go_without_duplicates(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    topics = make_topics(make_topic)
    count = 12_000
    produce(kafka.bootstrap, topics.input, messages(count))
    workers = [start_worker(topics, worker_id="w0", max_poll_records=50, **EXACTLY)]
    wait_until(lambda: workers[0].stats()["results_out"] > 300)
    workers.append(start_worker(topics, worker_id="w1", max_poll_records=50, **EXACTLY))
    wait_until(lambda: workers[1].stats()["results_out"] > 300 or workers[0].stats()["lag"] == 0)
    workers.append(start_worker(topics, worker_id="w2", max_poll_records=50, **EXACTLY))
    time.sleep(1)
    assert workers[0].stop(20)
    assert ids_of(kafka.bootstrap, topics.output, count) == Counter(range(count))


def test_new_producer_writes_abort_marker_to_every_output(kafka: Broker, make_topic: Callable[..., str]) -> None:
    """Abort markers end what a killed broker forgot of an earlier producer with the same id; see transactions.py."""
    topics = make_topics(make_topic)
    settings = settings_for(kafka.bootstrap, topics, **EXACTLY)
    make = partial(
        make_transactional_producer,
        connected_config(settings.required_kafka),
        settings.required_kafka,
        [1_000_000],
        "an-id",
    )
    last = LastTransaction(connected_config(settings.required_kafka), "an-id")
    written = [topics.output, topics.dead_letter]
    for made in (1, 2):
        TransactionalProducer(make, "g", settings.pipelines["p"], last).close(5)
        assert set(ends(kafka.bootstrap, written)) == {made}
    assert set(ends(kafka.bootstrap, [topics.input])) == {0}
    assert committed(kafka.bootstrap, "g", topics.input) == dict.fromkeys(range(4), -1001)


def open_in(broker: Broker, partition: Any) -> list[int]:
    """Ids of producers with an open transaction in the partition."""
    with broker.admin() as admin:
        states: Any = admin.describe_producers([partition])  # pyright: ignore[reportAttributeAccessIssue]
    return [
        state.producer_id for state in states[partition].active_producers if state.current_transaction_start_offset >= 0
    ]


def leave_open(broker: Broker, make: Callable[[], Any], topic: str, commits: bool = False) -> None:
    """Open a transaction in partition 0 of `topic` that its coordinator reports as aborted, or as committed."""
    producer, partition = make(), KafkaPartition(topic, 0)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"{}", partition=0).get(10)
    producer.commit_transaction() if commits else producer.abort_transaction()
    wait_until(lambda: not open_in(broker, partition), 10, "the marker")
    producer.begin_transaction()
    producer._transaction_manager._partitions_in_transaction.add(partition)  # as if the coordinator knew
    producer.send(topic, b"{}", partition=0).get(10)
    end(producer, 0)
    assert open_in(broker, partition)


@pytest.fixture(scope="module")
def trusting() -> Iterator[Broker]:
    """A broker that does not ask the coordinator whether a transaction is open."""
    with KafkaBroker(server_properties={"transaction.partition.verification.enable": "false"}) as broker:
        yield broker


def test_hanging_transaction_of_dead_worker_is_ended(trusting: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Hazard: a restarting broker may close a transaction without its markers, which blocks readers forever."""
    topics = Topics("in", "out", "dead")
    for topic in (topics.input, topics.output, topics.dead_letter):
        trusting.create_topic(topic, 2)
    settings = settings_for(trusting.bootstrap, topics, {"transaction_timeout_ms": 2_000}, **EXACTLY)
    config, kafka, pipeline = (
        connected_config(settings.required_kafka),
        settings.required_kafka,
        settings.pipelines["p"],
    )
    make = partial(make_transactional_producer, config, kafka, [1_000_000])
    ended: list[str] = []

    def end_as(transactional_id: str) -> None:
        ended.append(transactional_id)
        last = LastTransaction(config, transactional_id)
        TransactionalProducer(partial(make, transactional_id), "g", pipeline, last).close(0)

    hanging = HangingTransactions(config, kafka, pipeline, "g", end_as)
    alive = make("g-alive")
    alive.init_transactions()
    alive.begin_transaction()
    alive.send(topics.output, b"{}", partition=1).get(10)
    leave_open(trusting, partial(make, "g-dead"), topics.output)
    leave_open(trusting, partial(make, "another-dead"), topics.dead_letter)
    produce(trusting.bootstrap, topics.output, [(None, b"behind it")], partition=0)

    def seen(timeout_s: float) -> list[bytes]:
        return [
            message.value()
            for message in read_all(trusting.bootstrap, topics.output, lambda found: len(found) >= 1, timeout_s)
        ]

    assert seen(5) == []
    patient = kafka.model_copy(update={"transaction_timeout_ms": 60_000})
    assert HangingTransactions(config, patient, pipeline, "g", end_as).end() == []  # opened too recently
    time.sleep(2)
    assert hanging.end() == ended == ["g-dead"]
    assert hanging.end() == []
    assert seen(10) == [b"behind it"]
    assert "ending a hanging transaction" in caplog.text
    end(alive, 0)


def test_worker_ends_hanging_transaction_of_dead_worker(trusting: Broker, start_worker: StartWorker) -> None:
    topics = Topics("in-2", "out-2", "dead-2")
    for topic in (topics.input, topics.output, topics.dead_letter):
        trusting.create_topic(topic)
    short = {"transaction_timeout_ms": 2_000}
    settings = settings_for(trusting.bootstrap, topics, short, **EXACTLY)
    make = partial(
        make_transactional_producer, connected_config(settings.required_kafka), settings.required_kafka, [1_000_000]
    )
    leave_open(trusting, partial(make, "labelstream-p-dead"), topics.output)
    produce(trusting.bootstrap, topics.input, messages(20))
    start_worker(topics, bootstrap=trusting.bootstrap, kafka=short, **EXACTLY)
    committed_ = read_all(trusting.bootstrap, topics.output, lambda found: len(found) >= 20)
    assert b"{}" not in [message.value() for message in committed_]


def test_results_of_a_commit_without_markers_are_kept(trusting: Broker) -> None:
    """Hazard: a broker that restarts during a commit may write the offsets' marker alone."""
    topics = Topics("in-3", "out-3", "dead-3")
    for topic in (topics.input, topics.output, topics.dead_letter):
        trusting.create_topic(topic)
    settings = settings_for(trusting.bootstrap, topics, **EXACTLY)
    config = connected_config(settings.required_kafka)
    make = partial(make_transactional_producer, config, settings.required_kafka, [1_000_000], "g-3")
    leave_open(trusting, make, topics.output, commits=True)
    TransactionalProducer(make, "g-3", settings.pipelines["p"], LastTransaction(config, "g-3")).close(5)
    found = read_all(trusting.bootstrap, topics.output, lambda found: len(found) >= 2, 20)
    assert [message.value() for message in found] == [b"{}", b"{}"]
    assert committed(trusting.bootstrap, "g-3", topics.input) == {0: -1001}


@pytest.mark.parametrize("restarts", [True, False], ids=["coordinator restarts", "coordinator lives"])
def test_commit_without_markers_survives_next_abort(trusting: Broker, restarts: bool) -> None:
    """Hazard: the worker lives through a restart that loses markers of its commit, and aborts its next transaction.

    If the coordinator lives, its markers are written, and the test's lost one shows what an abort would delete.
    """
    name = f"survives-{restarts}"
    topics = Topics(f"in-{name}", f"out-{name}", f"dead-{name}")
    for topic in (topics.input, topics.output, topics.dead_letter):
        trusting.create_topic(topic)
    settings = settings_for(trusting.bootstrap, topics, **EXACTLY)
    config, pipeline = connected_config(settings.required_kafka), settings.pipelines["p"]
    make = partial(make_transactional_producer, config, settings.required_kafka, [1_000_000], name)
    producer = TransactionalProducer(make, name, pipeline, LastTransaction(config, name))
    first: Any = producer._producer
    partition = KafkaPartition(topics.output, 0)

    def passed(point: str) -> None:
        if point == failpoints.AFTER_COMMIT and restarts:
            connections, coordinator = (
                first._sender._client._manager,
                first._transaction_manager._transaction_coordinator,
            )
            connections.call_soon(connections.close, coordinator)
            wait_until(lambda: not first._sender._client.connected(coordinator), 10, "the end of the connection")

    wait_until(lambda: not open_in(trusting, partition), 10, "the marker of the start")
    first._transaction_manager._partitions_in_transaction.add(partition)
    failpoints.install(passed)
    try:
        producer.send(topics.output, ProducerRecord(b"first", None, [], 0)).get(10)
        producer.commit({}, ConsumerGroupMetadata(name), lambda: None).result(20)
        producer.committed()
    finally:
        failpoints.install(None)
    wait_until(producer.ready, 20, "the next transaction")
    producer.send(topics.output, ProducerRecord(b"second", None, [], 0)).get(10)
    producer.abort()
    wait_until(producer.ready, 20, "the abort")
    producer.close(5)
    found = read_all(trusting.bootstrap, topics.output, lambda found: len(found) >= 1, 3)
    assert [message.value() for message in found] == ([b"first"] if restarts else [])


@pytest.mark.parametrize(("group", "partition"), [("labelstream-p", 11), ("g", 3), ("gr\u00fc\u00dfe \U0001f600", 34)])
def test_offsets_partition_of_group_equals_brokers(group: str, partition: int) -> None:
    assert _offsets_partition(group, 50) == partition


def ends(bootstrap: str, topics: list[str]) -> list[int]:
    """The end offset of each partition, including control records."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": "read_uncommitted"})
    try:
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        return [consumer.get_watermark_offsets(partition, timeout=10)[1] for partition in partitions]
    finally:
        consumer.close()
