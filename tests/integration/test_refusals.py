"""Records that a real broker refuses become dead letters, and their neighbors are sent once."""

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,  # pyright: ignore[reportPrivateImportUsage]
    ConfigEntry,  # pyright: ignore[reportPrivateImportUsage]
    ConfigResource,  # pyright: ignore[reportPrivateImportUsage]
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
)

from labelstream.workers.classifier import Prediction
from labelstream.workers.errors import StartError
from tests.integration.conftest import StartWorker
from tests.kafka import Broker
from tests.kafka.install import VERSION
from tests.support.fakes import FakeClassifier
from tests.support.streams import Topics, committed, produce, read_all, read_letters, wait_until

MakeTopic = Callable[..., str]
DELIVERIES = pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
KNOWN = pytest.mark.parametrize("known", [True, False], ids=["known at the start", "found out"])
COMPACT = {"cleanup.policy": "compact"}
GROUP = "labelstream-p"
Records = list[tuple[bytes | None, bytes | None]]


def set_up(broker: Broker, topic: str, config: dict[str, str]) -> None:
    """Change the topic's settings."""
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
    time.sleep(0.5)  # until the broker applies them


def good(count: int, first: int = 0) -> Records:
    return [(b"k%d" % n, b'{"text":"good","id":%d}' % n) for n in range(first, first + count)]


def ids(broker: Broker, topic: str, count: int) -> Counter[int]:
    """Number of results by id, a moment after `count` are there."""
    read_all(broker.bootstrap, topic, lambda found: len(found) >= count, 40)
    found = read_all(broker.bootstrap, topic, lambda found: False, 2)
    return Counter(json.loads(message.value())["id"] for message in found)


def started(
    start_worker: StartWorker,
    broker: Broker,
    topics: Topics,
    which: str,
    config: dict[str, str],
    known: bool,
    classifier: FakeClassifier | None = None,
    **more: Any,
) -> Any:
    """A worker that knows the settings of topic `which` at its start, or must learn them from refusals."""
    topic = getattr(topics, which)
    if known:
        set_up(broker, topic, config)
    worker = start_worker(topics, classifier, transaction_interval_ms=100, **more)
    if not known:
        wait_until(lambda: worker.stats()["state"] == "running", 30, "the start")
        set_up(broker, topic, config)
    return worker


@DELIVERIES
@KNOWN
def test_result_without_key_on_compacted_output_is_dead_letter(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, delivery: str, known: bool
) -> None:
    topics = Topics(make_topic(), make_topic(2), make_topic())
    worker = started(start_worker, kafka, topics, "output", COMPACT, known, delivery=delivery, max_poll_records=20)
    keyless: Records = [(None, b'{"text":"no key"}')]
    produce(kafka.bootstrap, topics.input, [*good(100), *keyless, *good(100, 100), *keyless * 3, *good(20, 200)])
    assert ids(kafka, topics.output, 220) == Counter(range(220))
    letters = read_letters(kafka.bootstrap, topics.dead_letter, 4)
    assert [int(headers["__connect.errors.offset"]) for headers, _ in letters] == [100, 201, 202, 203]
    headers, letter = letters[0]
    assert headers["labelstream.reason"] == "result_refused"
    assert headers["__connect.errors.exception.message"].startswith("the output topic is compacted and requires keys")
    assert (letter.key(), letter.value()) == keyless[0]
    wait_until(lambda: committed(kafka.bootstrap, GROUP, topics.input) == {0: 224}, 20, "the commit")
    stats = worker.stats()
    assert (stats["results_out"], stats["dead_letters"], stats["restarts"]) == (220, {"result_refused": 4}, 0)


@DELIVERIES
@KNOWN
def test_dead_letter_on_compacted_topic_gets_key(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, delivery: str, known: bool
) -> None:
    topics = Topics(make_topic(), make_topic(), make_topic())
    worker = started(start_worker, kafka, topics, "dead_letter", COMPACT, known, delivery=delivery)
    produce(kafka.bootstrap, topics.input, [*good(50), (None, b"{"), (b"mine", b"{"), *good(50, 50)])
    assert ids(kafka, topics.output, 100) == Counter(range(100))
    letters = read_letters(kafka.bootstrap, topics.dead_letter, 2)
    assert [letter.key() for _, letter in letters] == [f"{topics.input}-0-50".encode(), b"mine"]
    assert [letter.value() for _, letter in letters] == [b"{", b"{"]
    assert [headers.get("labelstream.key_made") for headers, _ in letters] == ["true", None]
    assert worker.stats()["restarts"] == 0


@DELIVERIES
@KNOWN
def test_review_record_on_compacted_topic_gets_key(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, delivery: str, known: bool
) -> None:
    topics = Topics(make_topic(), make_topic(), make_topic(), make_topic())
    unsure = FakeClassifier(lambda request: Prediction(("A", "B"), (0.5, 0.5), 1, False, "r", accepted=()))
    started(start_worker, kafka, topics, "review", COMPACT, known, unsure, delivery=delivery)
    produce(kafka.bootstrap, topics.input, [*good(20), (None, b'{"text":"no key","id":20}'), *good(20, 21)])
    assert ids(kafka, topics.output, 41) == Counter(range(41))
    assert topics.review is not None
    assert ids(kafka, topics.review, 41) == Counter(range(41))
    found = read_all(kafka.bootstrap, topics.review, lambda found: len(found) >= 41)
    keys = {json.loads(message.value())["id"]: message.key() for message in found}
    assert (keys[20], keys[21]) == (f"{topics.input}-0-20".encode(), b"k21")


@DELIVERIES
def test_refused_dead_letter_blocks_until_topic_is_fixed(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, delivery: str
) -> None:
    """Nothing is repeated meanwhile, the error names topic and setting, and the worker resumes after the fix."""
    topics = Topics(make_topic(), make_topic(), make_topic())
    worker = started(start_worker, kafka, topics, "dead_letter", {"max.message.bytes": "100"}, False, delivery=delivery)
    produce(kafka.bootstrap, topics.input, [*good(50), (b"k", b"{"), *good(50, 50)])
    wait_until(lambda: worker.stats()["restarts"] >= 3, 60, "the third start")
    trouble = worker.stats()["trouble"] or ""
    assert ids(kafka, topics.output, 50 if delivery == "at_least_once" else 0).keys() <= set(range(50))
    set_up(kafka, topics.dead_letter, {"max.message.bytes": "100000"})
    assert ids(kafka, topics.output, 100) == Counter(range(100))
    assert len(read_letters(kafka.bootstrap, topics.dead_letter, 1)) == 1
    assert f"pipelines.p.dead_letter: topic {topics.dead_letter} refuses every form of the dead letter" in trouble
    assert "raise the topic's max.message.bytes" in trouble


def test_dead_letter_topic_with_tiny_limit_is_refused(make_topic: MakeTopic, start_worker: StartWorker) -> None:
    topics = Topics(make_topic(), make_topic(), make_topic(config={"max.message.bytes": "500"}))
    with pytest.raises(StartError, match=r"pipelines\.p\.dead_letter: topic .* 500 bytes .* max\.message\.bytes"):
        start_worker(topics)


def produce_at(broker: Broker, topic: str, timestamps_ms: list[int]) -> None:
    """Produce messages with these timestamps to one partition."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5})
    for number, timestamp_ms in enumerate(timestamps_ms):
        key, value = good(1, number)[0]
        producer.produce(topic, value, key, timestamp=timestamp_ms)
    assert producer.flush(30) == 0


def timestamps(broker: Broker, topic: str, count: int) -> dict[int, int]:
    found = read_all(broker.bootstrap, topic, lambda found: len(found) >= count)
    assert len(found) == count
    return {json.loads(message.value())["id"]: message.timestamp()[1] for message in found}


@DELIVERIES
@KNOWN
def test_result_has_input_timestamp_if_topic_takes_it(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, delivery: str, known: bool
) -> None:
    topics = Topics(make_topic(config={"message.timestamp.after.max.ms": "999999999999"}), make_topic(), make_topic())
    config = {"message.timestamp.before.max.ms": "600000"}
    worker = started(start_worker, kafka, topics, "output", config, known, delivery=delivery)
    now_ms = int(time.time() * 1000)
    taken = [now_ms - 30_000 + n for n in range(50)]
    refused = [now_ms - 3_600_000 + 1_000 * n for n in range(50)] + [1_000, now_ms + 3 * 86_400_000]
    produce_at(kafka, topics.input, [*taken, *refused, *taken])
    assert ids(kafka, topics.output, 152) == Counter(range(152))
    found = timestamps(kafka, topics.output, 152)
    own = [found[n] == taken[n % 102] for n in (*range(50), *range(102, 152))]
    # Kafka 3.9 does not report accepted timestamps: after a refusal, no other timestamp is tried.
    assert all(own) or (VERSION == "3.9" and not known)
    retimed = [found[n] for n in range(152) if not (n < 50 or n >= 102) or found[n] != taken[n % 102]]
    assert all(now_ms - 1_000 <= timestamp < now_ms + 60_000 for timestamp in retimed)
    stats = worker.stats()
    assert (stats["results_retimed"], stats["dead_letters"], stats["restarts"]) == (len(retimed), {}, 0)
    assert stats["latency_ms"]["p99"] < 3_700_000


def test_result_has_send_time_if_set_or_input_past_retention(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    now_ms = int(time.time() * 1000)
    for more, output, timestamp_ms, retimed in (
        ({"output_timestamp": "now"}, {}, now_ms - 60_000, 0),
        ({}, {"retention.ms": "3600000"}, now_ms - 7_200_000, 1),
    ):
        topics = Topics(make_topic(), make_topic(config=output), make_topic())
        produce_at(kafka, topics.input, [timestamp_ms])
        worker = start_worker(topics, **more)
        assert timestamps(kafka, topics.output, 1)[0] >= now_ms
        wait_until(lambda worker=worker: worker.stats()["results_out"] == 1, 20, "the count")
        assert worker.stats()["results_retimed"] == retimed
        worker.stop(10)
