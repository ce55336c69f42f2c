"""Nothing lost, order kept, offsets never ahead of their results: on a real broker, with a fake model."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from labelstream.workers.errors import StartError
from tests.integration.conftest import StartWorker
from tests.kafka import Broker, KafkaBroker
from tests.support.streams import (
    PARTITIONS,
    Topics,
    assert_order,
    committed,
    make_topics,
    messages,
    produce,
    read_ids,
    read_results,
    wait_until,
)


@pytest.mark.parametrize(("output_partition", "keyed"), [("same", True), ("key", False)])
def test_results_come_once_in_order_with_offsets_committed(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker, output_partition: str, keyed: bool
) -> None:
    topics = make_topics(make_topic)
    produce(kafka.bootstrap, topics.input, [(key if keyed else None, value) for key, value in messages(5_000)])
    start_worker(topics, output_partition=output_partition)
    results = read_results(kafka.bootstrap, topics.output, 5_000)
    assert sorted(r["id"] for r in results) == list(range(5_000))
    assert_order(results)
    wait_until(lambda: sum(committed(kafka.bootstrap, "labelstream-p", topics.input).values()) == 5_000, 20, "commit")


def test_stop_in_mid_stream_duplicates_nothing(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    topics = make_topics(make_topic)
    produce(kafka.bootstrap, topics.input, messages(6_000))
    first = start_worker(topics, max_poll_records=100)
    wait_until(lambda: first.stats()["results_out"] > 500)
    assert first.stop(20)
    done = first.stats()["results_out"]
    assert sum(max(0, o) for o in committed(kafka.bootstrap, "labelstream-p", topics.input).values()) == done
    start_worker(topics)
    results = read_results(kafka.bootstrap, topics.output, 6_000)
    time.sleep(0.5)
    assert Counter(r["id"] for r in results) == Counter(range(6_000))


def test_joining_and_leaving_workers_lose_nothing(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    topics = make_topics(make_topic)
    count = 12_000
    produce(kafka.bootstrap, topics.input, messages(count))
    workers = [start_worker(topics, worker_id="w0", max_poll_records=50)]
    wait_until(lambda: workers[0].stats()["results_out"] > 300)
    workers.append(start_worker(topics, worker_id="w1", max_poll_records=50))
    wait_until(lambda: workers[1].stats()["results_out"] > 300 or workers[0].stats()["lag"] == 0)
    workers.append(start_worker(topics, worker_id="w2", max_poll_records=50))
    time.sleep(1)
    assert workers[0].stop(20)
    ids = read_ids(kafka.bootstrap, topics.output, count)
    assert set(ids) == set(range(count))
    assert len(ids) < 1.2 * count  # a few are done again by a partition's next owner
    for worker in workers[1:]:
        worker.check()
    wait_until(lambda: sum(committed(kafka.bootstrap, "labelstream-p", topics.input).values()) == count, 30, "commit")


def test_start_from_latest_keeps_start_over_restart(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    topics = make_topics(make_topic)
    # Not the default group, which has offsets by other tests.
    new_group: dict[str, Any] = {"group_id": topics.input, "start_from": "latest"}
    produce(kafka.bootstrap, topics.input, messages(100))
    first = start_worker(topics, **new_group)
    wait_until(lambda: sum(committed(kafka.bootstrap, topics.input, topics.input).values()) == 100, 30, "commit")
    assert first.stop(5)
    produce(kafka.bootstrap, topics.input, messages(50, first=100))
    start_worker(topics, **new_group)
    results = read_results(kafka.bootstrap, topics.output, 50)
    assert sorted(r["id"] for r in results) == list(range(100, 150))


def test_killed_broker_returns_and_nothing_is_lost(start_worker: StartWorker) -> None:
    topics = Topics("in", "out", "dlq")
    with KafkaBroker() as broker:
        for topic in ("in", "out", "dlq"):
            broker.create_topic(topic, PARTITIONS)
        produce(broker.bootstrap, "in", messages(4_000))
        worker = start_worker(topics, bootstrap=broker.bootstrap, max_poll_records=50)
        wait_until(lambda: worker.stats()["results_out"] > 500)
        broker.kill()
        time.sleep(2)
        broker.start()
        produce(broker.bootstrap, "in", messages(1_000, first=4_000))
        assert set(read_ids(broker.bootstrap, "out", 5_000, timeout_s=90)) == set(range(5_000))
        assert worker.stop(20)


def test_missing_broker_or_topic_is_one_line(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    topics = make_topics(make_topic)
    with pytest.raises(StartError, match=r"kafka.bootstrap_servers: no broker answers at 127.0.0.1:1 \("):
        start_worker(topics, bootstrap="127.0.0.1:1")
    with pytest.raises(StartError, match=r"pipelines.p.output: topic nowhere does not exist; create it"):
        start_worker(Topics(topics.input, "nowhere", topics.dead_letter))


def test_missing_permission_or_password_is_named(start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = Topics("in", "out", "dlq")
    users = {"admin": "adminpass", "reader": "readerpass", "lonely": "lonelypass", "full": "fullpass"}
    with KafkaBroker(users=users, super_users=["admin"]) as broker:
        for topic in ("in", "out", "dlq"):
            broker.create_topic(topic)
        for user in ("reader", "lonely", "full"):
            broker.allow(user, "READ", topic="in")
        for user in ("reader", "full"):
            broker.allow(user, "READ", group="labelstream-p")
        for topic in ("out", "dlq"):
            broker.allow("full", "WRITE", topic=topic)
            broker.allow("lonely", "WRITE", topic=topic)
            broker.allow("reader", "DESCRIBE", topic=topic)

        def security(user: str, password: str) -> dict[str, Any]:
            monkeypatch.setenv("LABELSTREAM_KAFKA__SECURITY__PASSWORD", password)
            return {"security": {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": user}}

        with pytest.raises(StartError, match="refuses the login") as wrong:
            start_worker(topics, bootstrap=broker.bootstrap, kafka=security("full", "wrongpass"))
        assert "wrongpass" not in str(wrong.value)
        with pytest.raises(StartError, match=r"pipelines\.p\.output: no permission to write topic out"):
            start_worker(topics, bootstrap=broker.bootstrap, kafka=security("reader", "readerpass"))
        with pytest.raises(StartError, match=r"pipelines\.p\.group_id: no permission to read group labelstream-p"):
            start_worker(topics, bootstrap=broker.bootstrap, kafka=security("lonely", "lonelypass"))
        worker = start_worker(topics, bootstrap=broker.bootstrap, kafka=security("full", "fullpass"))
        wait_until(lambda: worker.stats()["state"] == "running", 30, "the start")
