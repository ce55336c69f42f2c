"""Outages: the worker pauses, raises an alarm, resumes by itself and loses nothing; exactly once without duplicates."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from labelstream.workers.stream.worker import PipelineWorker
from tests.chaos.proxy import PRODUCE, Proxy, in_front_of
from tests.integration.conftest import StartWorker
from tests.kafka import KafkaBroker
from tests.support.streams import Topics, produce, read_ids, wait_until

TIMEOUTS = {"request_timeout_ms": 2_000, "delivery_timeout_ms": 4_000, "transaction_timeout_ms": 6_000}
DELIVERIES = pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])


class Site:
    """A broker behind a proxy, and topics of one pipeline."""

    def __init__(self, broker: KafkaBroker, proxy: Proxy, bootstrap: str) -> None:
        self.broker, self.proxy, self.bootstrap = broker, proxy, bootstrap
        self.made = self.sent = 0

    def topics(self) -> Topics:
        self.made, self.sent = self.made + 1, 0
        topics = Topics(*(f"{name}-{self.made}" for name in ("in", "out", "dead")))
        for topic in (topics.input, topics.output, topics.dead_letter):
            self.broker.create_topic(topic, 2)
        return topics

    def feed(self, topics: Topics, count: int = 300) -> None:
        first, self.sent = self.sent, self.sent + count
        produce(
            self.broker.bootstrap,
            topics.input,
            [(b"k%d" % (i % 9), json.dumps({"text": "x", "id": i}).encode()) for i in range(first, first + count)],
        )

    def ids(self, topics: Topics) -> Counter[int]:
        """Number of records by id for a read_committed reader, once all ids are there."""
        return Counter(read_ids(self.broker.bootstrap, topics.output, self.sent, timeout_s=90))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    broker = KafkaBroker(server_properties={"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"})
    proxy, bootstrap = in_front_of(broker)
    try:
        with broker:
            yield Site(broker, proxy, bootstrap)
    finally:
        proxy.close()


@pytest.fixture
def run(site: Site, start_worker: StartWorker) -> Callable[[Topics, str], PipelineWorker]:
    def run(topics: Topics, delivery: str) -> PipelineWorker:
        site.feed(topics)
        worker = start_worker(
            topics,
            bootstrap=site.bootstrap,
            kafka=TIMEOUTS,
            delivery=delivery,
            group_id=f"g-{topics.input}",
            transaction_interval_ms=100,
            max_poll_records=20,
        )
        wait_until(lambda: worker.stats()["results_out"] >= 300, 60, "the first results")
        return worker

    return run


def says_so(worker: PipelineWorker) -> bool:
    stats = worker.stats()
    return bool(stats["trouble"] or stats["alarms"])


def assert_all_there(site: Site, topics: Topics, worker: PipelineWorker, delivery: str) -> None:
    site.feed(topics)
    ids = site.ids(topics)
    assert set(ids) == set(range(site.sent))
    if delivery == "exactly_once":
        assert set(ids.values()) == {1}
    wait_until(lambda: not says_so(worker), 60, "the end of the alarm")
    worker.check()


@DELIVERIES
def test_output_topic_without_acks_pauses_worker(site: Site, run: Callable[..., PipelineWorker], delivery: str) -> None:
    topics = site.topics()
    worker = run(topics, delivery)
    try:
        site.proxy.stop(PRODUCE)
        site.feed(topics)
        wait_until(lambda: says_so(worker), 60, "a word about it")
        time.sleep(TIMEOUTS["delivery_timeout_ms"] / 1000)
    finally:
        site.proxy.mend()
    assert_all_there(site, topics, worker, delivery)


@DELIVERIES
@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_network_cut_loses_nothing(site: Site, run: Callable[..., PipelineWorker], delivery: str, how: str) -> None:
    topics = site.topics()
    worker = run(topics, delivery)
    try:
        getattr(site.proxy, how)()
        site.feed(topics)
        time.sleep(7)  # longer than session and transaction timeout
    finally:
        site.proxy.mend()
    assert_all_there(site, topics, worker, delivery)


@pytest.mark.long
@DELIVERIES
def test_full_broker_disk_loses_nothing(site: Site, run: Callable[..., PipelineWorker], delivery: str) -> None:
    """The broker's files cannot grow: the broker exits, as with a full disk."""
    topics = site.topics()
    worker = run(topics, delivery)
    site.broker.fill_disk()
    full = Producer({"bootstrap.servers": site.broker.bootstrap, "log_level": 0})
    full.produce(topics.input, b"no json: one dead letter more, if it should get there")
    wait_until(lambda: full.flush(0.1) >= 0 and not site.broker.running, 60, "the broker's end")
    site.broker.restart()
    assert_all_there(site, topics, worker, delivery)
