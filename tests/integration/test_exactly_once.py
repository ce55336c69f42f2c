"""Exactly-once on a real broker: what read_committed readers see, whatever happens to workers and partitions."""

import json
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from confluent_kafka import Consumer, TopicPartition

from tests.integration.conftest import StartWorker
from tests.integration.streams import committed, produce, read_all, read_letters, settings_for, wait_until
from tests.integration.test_delivery import assert_order, make_topics, messages
from tests.kafka import Broker
from workers.stream.clients import connected_config, make_transactional_producer
from workers.stream.transactions import TransactionalProducer

EXACTLY = {"delivery": "exactly_once", "transaction_interval_ms": 100}


def ids_of(bootstrap: str, topic: str, count: int) -> Counter[int]:
    """How often each id is there for a read_committed reader, a moment after `count` are."""
    read_all(bootstrap, topic, lambda found: len(found) >= count)
    time.sleep(1)
    found = read_all(bootstrap, topic, lambda found: False, timeout_s=2)
    return Counter(json.loads(message.value())["id"] for message in found)


def test_all_come_out_once_with_their_offsets(
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


def test_a_new_producer_writes_the_end_of_a_transaction_into_all_that_it_may_ever_write_to(
    kafka: Broker, make_topic: Callable[..., str]
) -> None:
    """What a killed broker has forgotten of an earlier one of the same id ends there; see transactions.py."""
    topics = make_topics(make_topic)
    settings = settings_for(kafka.bootstrap, topics, **EXACTLY)
    make = partial(make_transactional_producer, connected_config(settings.kafka), settings.kafka, [1_000_000], "an-id")
    written = [topics.output, topics.dead_letter]
    for made in (1, 2):
        TransactionalProducer(make, "g", settings.pipelines["p"], lambda point: None).close(5)
        assert set(ends(kafka.bootstrap, written)) == {made}
    assert set(ends(kafka.bootstrap, [topics.input])) == {0}
    assert committed(kafka.bootstrap, "g", topics.input) == dict.fromkeys(range(4), -1001)


def ends(bootstrap: str, topics: list[str]) -> list[int]:
    """The end offset of each partition, control records and all."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": "read_uncommitted"})
    try:
        partitions = [TopicPartition(topic, number) for topic in topics
                      for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
        return [consumer.get_watermark_offsets(partition, timeout=10)[1] for partition in partitions]
    finally:
        consumer.close()
