"""Shared by integration tests: settings with topics of their own, producing, and reading back."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from labelstream.workers.config_file import load_settings
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.consumer.source import RecordSource

Record = tuple[bytes | None, bytes | None]  # key, value


@dataclass(frozen=True)
class Topics:
    """The topics of one pipeline."""

    input: str
    output: str
    dead_letter: str
    review: str | None = None


def settings_for(bootstrap: str, topics: Topics, kafka: dict[str, Any] | None = None, **pipeline: Any) -> Settings:
    """One pipeline `p` with one model `m` and short timeouts."""
    return load_settings(
        {
            "kafka": {"bootstrap_servers": bootstrap, "session_timeout_ms": 6_000, **(kafka or {})},
            "models": {"m": {"source": "unused", "call_timeout_s": 0.5}},
            "pipelines": {
                "p": {
                    "input": topics.input,
                    "output": topics.output,
                    "dead_letter": topics.dead_letter,
                    "review": topics.review,
                    "model": "m",
                    "commit_interval_ms": 200,
                    **pipeline,
                }
            },
        }
    )


def produce(bootstrap: str, topic: str, records: Iterable[Record], headers: Any = None, partition: int = -1) -> None:
    """Send with confluent-kafka and wait until all are acknowledged."""
    failures: list[Any] = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "message.max.bytes": 5_000_000})
    for key, value in records:
        producer.produce(
            topic,
            value=value,
            key=key,
            headers=headers,
            partition=partition,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failures, failures[0]


def read_all(bootstrap: str, topic: str, enough: Callable[[list[Any]], bool], timeout_s: float = 60.0) -> list[Any]:
    """Read `topic` from its start with confluent-kafka until `enough(messages)` or a timeout."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "log_level": 2,
        }
    )
    found: list[Any] = []
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        deadline = time.monotonic() + timeout_s
        while not enough(found) and time.monotonic() < deadline:
            found += [message for message in consumer.consume(1000, timeout=0.2) if not message.error()]
    finally:
        consumer.close()
    return found


def read_results(bootstrap: str, topic: str, count: int, timeout_s: float = 60.0) -> list[dict[str, Any]]:
    """At least `count` result values, parsed."""
    return [json.loads(m.value()) for m in read_all(bootstrap, topic, lambda found: len(found) >= count, timeout_s)]


def read_until_complete(bootstrap: str, topic: str, count: int, timeout_s: float = 60.0) -> list[dict[str, Any]]:
    """The results' values, duplicates and all, read until `count` different ids are there."""

    def values(found: list[Any]) -> list[dict[str, Any]]:
        return [json.loads(m.value()) for m in found]

    def complete(found: list[Any]) -> bool:
        return len(found) >= count and len({value["id"] for value in values(found)}) >= count

    return values(read_all(bootstrap, topic, complete, timeout_s))


def read_ids(bootstrap: str, topic: str, count: int, timeout_s: float = 60.0) -> list[Any]:
    """The results' ids, duplicates and all, read until `count` different ones are there."""
    return [value["id"] for value in read_until_complete(bootstrap, topic, count, timeout_s)]


def read_letters(bootstrap: str, topic: str, count: int, timeout_s: float = 60.0) -> list[tuple[dict[str, str], Any]]:
    """At least `count` dead letters: headers as text (the last of each name), and the message."""
    messages = read_all(bootstrap, topic, lambda found: len(found) >= count, timeout_s)
    return [({name: value.decode("latin-1") for name, value in m.headers() or []}, m) for m in messages]


def committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """The group's committed offset of each partition; -1001 where there is none."""
    for _ in range(3):
        with suppress(KafkaException):  # a fresh broker does not know the group's coordinator yet
            return _committed(bootstrap, group, topic)
        time.sleep(1)
    return _committed(bootstrap, group, topic)


def _committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 2})
    try:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        found = consumer.committed([TopicPartition(topic, number) for number in numbers], timeout=10)
        return {entry.partition: entry.offset for entry in found}
    finally:
        consumer.close()


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0, what: str = "it") -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout_s:.0f} s"
        time.sleep(0.05)


PARTITIONS = 4


def make_topics(make_topic: Callable[..., str]) -> Topics:
    return Topics(make_topic(PARTITIONS), make_topic(PARTITIONS), make_topic())


def messages(count: int, first: int = 0) -> list[tuple[bytes, bytes]]:
    return [
        (b"key-%d" % (i % 50), json.dumps({"text": f"text {i}", "id": i}).encode()) for i in range(first, first + count)
    ]


def assert_order(results: list[dict[str, Any]]) -> None:
    """Check that within an input partition the first copies of the results are in the order of offsets."""
    seen: dict[int, list[int]] = defaultdict(list)
    for result in results:
        offset = result["source"]["offset"]
        if offset not in seen[result["source"]["partition"]]:
            seen[result["source"]["partition"]].append(offset)
    assert all(offsets == sorted(offsets) for offsets in seen.values())


def poll_until(
    sources: list[RecordSource], condition: Callable[[], bool], paused: bool = False, timeout_s: float = 30.0
) -> None:
    """Poll each consumer from a thread of its own, as workers do, until the condition holds."""
    ended = threading.Event()

    def turn(source: RecordSource) -> None:
        while not ended.is_set():
            source.assignment.release()
            source.poll(0 if paused else 20, paused)
            time.sleep(0.05 if paused else 0)

    threads = [threading.Thread(target=turn, args=[source]) for source in sources]
    for thread in threads:
        thread.start()
    try:
        wait_until(condition, timeout_s, "the rebalance")
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def spread(sources: list[RecordSource]) -> list[int]:
    """Number of partitions that each consumer holds."""
    return sorted(len(source.assignment.assigned()) for source in sources)


DELIVERIES = ("at_least_once", "exactly_once")


HEADER_BYTES = 61


def batches(log: bytes | bytearray) -> list[tuple[int, int, int]]:
    """The position of each batch in a partition's log file, with its first and last offset."""
    found, at = [], 0
    while at + HEADER_BYTES <= len(log) and (length := int.from_bytes(log[at + 8 : at + 12])):
        first = int.from_bytes(log[at : at + 8])
        found.append((at, first, first + int.from_bytes(log[at + 23 : at + 27])))
        at += 12 + length
    return found
