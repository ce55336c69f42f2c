"""Records that kill the worker's process, and kills without a guilty record, on a real broker."""

import json
import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka.admin import MemberToRemove  # pyright: ignore[reportAttributeAccessIssue]

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.crash_isolation.crash_history import FREE_RECORDS, CrashHistory, read
from labelstream.workers.stream.supervision import stall_detector
from tests.chaos.single_worker import settings_of
from tests.integration.conftest import StartWorker
from tests.integration.crashing_worker import DEADLY, SLOW, live
from tests.kafka import Broker
from tests.support.fakes import FakeClassifier
from tests.support.streams import Topics, committed, produce, read_all, read_letters, wait_until

PARTITIONS = 4
NURSERY = multiprocessing.get_context("forkserver")  # imports modules once for all processes
NURSERY.set_forkserver_preload(["tests.integration.crashing_worker"])
BOTH = pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])


@pytest.fixture
def topics(make_topic: Callable[..., str]) -> list[str]:
    return [make_topic(PARTITIONS), make_topic(), make_topic()]


@contextmanager
def life(kafka: Broker, topics: list[str], delivery: str, proof_s: float) -> Iterator[Any]:
    """One worker's process, yielded once partitions are assigned; killed at the end and removed from the group."""
    ours, told = NURSERY.Pipe(duplex=False)
    process = NURSERY.Process(target=live, args=(settings_of(kafka.bootstrap, topics, delivery), proof_s, told))
    process.start()
    told.close()
    try:
        with suppress(EOFError):  # the process has died already
            ours.recv()
        yield process
    finally:
        process.kill()
        process.join()
        ours.close()
        forget_members(kafka, topics[0])


def forget_members(kafka: Broker, group: str) -> None:
    with kafka.admin() as admin:
        client: Any = admin
        members = client.describe_groups([group])[group]["members"]
        if members:
            client.remove_group_members(group, [MemberToRemove(member_id=one["member_id"]) for one in members])


def all_committed(kafka: Broker, topics: list[str], counts: Counter[int]) -> bool:
    """With transactions, the committed offset may be one control record after the last record."""
    found = committed(kafka.bootstrap, topics[0], topics[0])
    return all(found[number] >= count for number, count in counts.items())


def put(kafka: Broker, topics: list[str], texts: list[str]) -> Counter[int]:
    """Produce one message for each text, round robin. Returns the number of messages by partition."""
    for number in range(PARTITIONS):
        mine = [
            (None, json.dumps({"id": i, "text": text}).encode())
            for i, text in enumerate(texts)
            if i % PARTITIONS == number
        ]
        produce(kafka.bootstrap, topics[0], mine, partition=number)
    return Counter(i % PARTITIONS for i in range(len(texts)))


def answers(kafka: Broker, topics: list[str], count: int) -> Counter[int]:
    """Number of results of each id that a read_committed reader sees."""
    found = read_all(kafka.bootstrap, topics[1], lambda seen: len({m.value() for m in seen}) >= count)
    found += read_all(kafka.bootstrap, topics[1], lambda seen: False, timeout_s=1)[len(found) :]
    return Counter(json.loads(message.value())["id"] for message in found)


def notes(kafka: Broker, topics: list[str]) -> list[str]:
    """Metadata of each partition's committed offset."""
    with kafka.admin() as admin:
        client: Any = admin
        found = client.list_group_offsets(topics[0])[topics[0]]
    return [offset.metadata for _, offset in sorted(found.items())]


def notes_by_confluent(kafka: Broker, topics: list[str]) -> list[str]:
    """As `notes`, read by a client that treats metadata as a C string."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topics[0]})
    try:
        places = [TopicPartition(topics[0], number) for number in range(PARTITIONS)]
        return [place.metadata or "" for place in consumer.committed(places, timeout=10)]
    finally:
        consumer.close()


@BOTH
@pytest.mark.timeout(180)
def test_worker_killing_record_alone_is_dead_lettered(
    kafka: Broker, topics: list[str], delivery: str, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = [f"text {i}" for i in range(1_200)]
    texts[637] = f"a {DEADLY} text"
    counts = put(kafka, topics, texts)
    deaths = 0
    while True:
        with life(kafka, topics, delivery, 1.0) as worker:
            while not all_committed(kafka, topics, counts) and worker.is_alive():
                time.sleep(0.1)
            if worker.is_alive():
                worker.terminate()
                worker.join(30)
                assert worker.exitcode == 0
                break
        assert worker.exitcode == -signal.SIGKILL
        deaths += 1
        assert deaths <= 8, "the poison record was not found"
    with capfd.disabled():
        print(f" [{delivery}: {deaths} workers died]", end="")
    [(headers, letter)] = read_letters(kafka.bootstrap, topics[2], 1)
    assert headers["labelstream.reason"] == "crashes_worker"
    assert int(headers["labelstream.attempts"]) >= 3
    assert DEADLY in json.loads(letter.value())["text"]
    seen = answers(kafka, topics, len(texts) - 1)
    assert seen.keys() == set(range(len(texts))) - {637}
    if delivery == "exactly_once":
        assert set(seen.values()) == {1}
    assert notes(kafka, topics) == [""] * PARTITIONS, "an orderly stop leaves no note"


def test_orderly_stop_suspects_record_only_after_loop_stall(
    kafka: Broker, topics: list[str], start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that waits for a model is innocent; a record that blocks the loop makes Serve end the worker."""
    put(kafka, topics, ["text"])
    names, classifier = Topics(*topics), FakeClassifier()
    classifier.gate.clear()
    worker = start_worker(names, classifier, group_id=topics[0])
    wait_until(lambda: worker.stats()["in_flight"] == 1, 30, "the record")
    accused = [CrashHistory(1, FREE_RECORDS, 0)] * PARTITIONS
    assert [read(note)[1] for note in notes(kafka, topics)] == accused
    assert [read(note)[1] for note in notes_by_confluent(kafka, topics)] == accused
    assert not worker.stop(0)
    assert notes(kafka, topics) == [""] * PARTITIONS
    held_up, submit = FakeClassifier(), classifier.submit
    monkeypatch.setattr(stall_detector, "LOOP_FAIL_S", 1.0)
    monkeypatch.setattr(held_up, "submit", lambda *call: [time.sleep(3), submit(*call)][1])
    worker = start_worker(names, held_up, group_id=topics[0])
    time.sleep(2)
    with pytest.raises(StreamError, match="loop has been blocked"):
        worker.check()
    assert not worker.stop(0)
    assert [read(note)[1] for note in notes(kafka, topics)] == accused


@pytest.mark.long
@pytest.mark.timeout(240)
def test_ten_foreign_kills_dead_letter_no_record(kafka: Broker, topics: list[str]) -> None:
    """Each kill comes while records are in flight, because the model is slow."""
    texts = [f"{SLOW} {i}" for i in range(120)]
    counts = put(kafka, topics, texts)
    chance = random.Random(7)
    for _ in range(10):
        with life(kafka, topics, "exactly_once", 10.0):
            time.sleep(chance.uniform(0, 1))
    with life(kafka, topics, "exactly_once", 10.0):
        wait_until(lambda: all_committed(kafka, topics, counts), 120, "the last commit")
    assert answers(kafka, topics, len(texts)) == Counter(range(len(texts)))
    assert not read_all(kafka.bootstrap, topics[2], lambda seen: bool(seen), timeout_s=2)
