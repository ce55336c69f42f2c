"""Halted partitions, the circuit breaker, alarms and offset resets, and their operator commands, on a real broker."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka.structs import TopicPartition

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.supervision.commands import CommandAnswer
from labelstream.workers.stream.worker import PipelineWorker
from tests.integration.conftest import StartWorker
from tests.kafka import KafkaBroker
from tests.support.command import call
from tests.support.fakes import FakeClassifier
from tests.support.streams import (
    DELIVERIES,
    HEADER_BYTES,
    Topics,
    batches,
    committed,
    messages,
    produce,
    read_letters,
    read_results,
    wait_until,
)


def corrupt(data: Path, topic: str, partition: int, offset: int) -> tuple[int, int]:
    """Flip a byte after the header of the batch that holds `offset`. Returns the batch's first and last offset."""
    path = data / "data" / f"{topic}-{partition}" / f"{0:020d}.log"
    log = bytearray(path.read_bytes())
    at, first, last = next(found for found in batches(log) if found[1] <= offset <= found[2])
    log[at + HEADER_BYTES + 10] ^= 0xFF
    path.write_bytes(log)
    return first, last


def order(worker: PipelineWorker, **command: Any) -> CommandAnswer:
    told: Any = command
    answer: Future[CommandAnswer] = worker.command(told, timeout_s=20)
    return answer.result(25)


def skip(worker: PipelineWorker, topic: str, partition: int, offset: int) -> CommandAnswer:
    return order(worker, name="skip", topic=topic, partition=partition, offset=offset)


Places = dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaBroker, Places]]:
    """A broker with one topic for each delivery, whose partition 0 has a corrupt batch in the middle.

    Each topic has 2 partitions with 600 messages. Values are the first and last offsets of the corrupt batches.
    """
    data = tmp_path_factory.mktemp("kafka")
    with KafkaBroker(data=data) as broker:
        for topic in DELIVERIES:
            broker.create_topic(topic, 2)
            for hundred in range(6):
                for partition in (0, 1):
                    records = messages(100, first=1_000 * partition + 100 * hundred)
                    produce(broker.bootstrap, topic, records, partition=partition)
        broker.stop()
        places = {topic: corrupt(data, topic, 0, 350) for topic in DELIVERIES}
        assert all(300 <= first <= 350 <= last < 400 for first, last in places.values())
        broker.start()
        yield broker, places


@pytest.fixture
def broker(broken: tuple[KafkaBroker, Places]) -> KafkaBroker:
    return broken[0]


@pytest.fixture
def topics(broker: KafkaBroker, request: pytest.FixtureRequest) -> Topics:
    """New topics with one partition each, named after the test."""
    name = request.node.name.partition("[")[0][:40]
    names = [f"{name}-{kind}-{time.monotonic_ns()}" for kind in ("in", "out", "dlq")]
    for topic in names:
        broker.create_topic(topic)
    return Topics(*names)


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_corrupt_batch_halts_partition_until_skip(
    broken: tuple[KafkaBroker, Places], topics: Topics, start_worker: StartWorker, delivery: str
) -> None:
    broker, (first, last) = broken[0], broken[1][delivery]
    topic, out = delivery, topics.output
    topics = Topics(topic, out, topics.dead_letter)

    def start() -> PipelineWorker:
        worker = start_worker(topics, bootstrap=broker.bootstrap, delivery=delivery, group_id=topic)
        wait_until(lambda: bool(worker.stats()["alarms"]), 30, "the alarm")
        return worker

    worker = start()
    assert worker.stats()["alarms"] == [
        f"corrupt batch at {topic}:0, offsets {first} to {last} (CorruptRecordError): the partition is halted; "
        f"`labelstream skip p {topic}:0:{last + 1}` resumes behind the batch"
    ]
    before = [*range(first), *range(1_000, 1_600)]
    assert sorted(r["id"] for r in read_results(broker.bootstrap, out, len(before))) == before
    wait_until(lambda: committed(broker.bootstrap, topic, topic) == {0: first, 1: 600}, 20, "the commit")
    produce(broker.bootstrap, topic, messages(10, first=1_600), partition=1)
    wait_until(lambda: worker.stats()["results_out"] == len(before) + 10, 20, "the other partition's progress")
    wait_until(lambda: worker.stats()["lag"] == 600 - first, 10, "the lag of the halted partition alone")
    worker.check()
    assert worker.stats()["restarts"] == 0

    assert worker.stop(10)  # the next owner finds the corrupt batch again
    worker = start()
    assert skip(worker, topic, 1, 700) == CommandAnswer("refused", f"{topic}:1 is not halted: nothing to skip")
    assert skip(worker, topic, 7, 700) == CommandAnswer("absent", f"{topic}:7 is not assigned to this worker")
    assert skip(worker, topic, 0, last).text.endswith(f"the first offset behind it is {last + 1}")
    assert skip(worker, topic, 0, 601).text == f"{topic}:0:601 is behind the end of the log, 600"
    assert skip(worker, topic, 0, last + 1) == CommandAnswer(
        "done", f"{topic}:0 resumes at {last + 1}; {last + 1 - first} offsets are skipped"
    )
    everything = sorted([*before, *range(1_600, 1_610), *range(last + 1, 600)])
    assert sorted(r["id"] for r in read_results(broker.bootstrap, out, len(everything))) == everything
    wait_until(lambda: committed(broker.bootstrap, topic, topic) == {0: 600, 1: 610}, 20, "the commit")
    wait_until(lambda: worker.stats()["alarms"] == [], 10, "the alarm's end")
    assert worker.stop(10)


def test_bad_messages_raise_alarm_and_hold_nothing_back(
    broker: KafkaBroker, topics: Topics, start_worker: StartWorker
) -> None:
    """Any number of bad messages holds no good message back."""
    good = messages(30)
    batches = [[*[(b"k", b"{")] * 100, one] for one in good]
    produce(broker.bootstrap, topics.input, [record for batch in batches for record in batch])
    worker = start_worker(topics, bootstrap=broker.bootstrap, group_id=topics.input, max_poll_records=100)
    assert sorted(r["id"] for r in read_results(broker.bootstrap, topics.output, 30)) == list(range(30))
    wait_until(lambda: worker.stats()["dead_letters"] == {"invalid_json": 3_000}, 20, "all dead letters")
    wait_until(lambda: bool(worker.stats()["alarms"]), 20, "the alarm")
    [alarm] = worker.stats()["alarms"]
    assert "messages became dead letters (invalid_json " in alarm
    assert alarm.endswith("the pipeline continues; see `labelstream dlq list -c FILE p`")
    assert worker.stats()["state"] == "running"
    worker.check()


def test_failing_model_pauses_pipeline(broker: KafkaBroker, topics: Topics, start_worker: StartWorker) -> None:
    produce(broker.bootstrap, topics.input, [*messages(200), *[(b"k", b'{"text": "poison"}')] * 2_000])
    worker = start_worker(
        topics, bootstrap=broker.bootstrap, group_id=topics.input, drain_timeout_s=60, max_poll_records=100
    )
    wait_until(lambda: bool(worker.stats()["alarms"]), 30, "the alarm")
    assert worker.stats()["state"] == "paused"
    [alarm] = worker.stats()["alarms"]
    assert alarm.startswith("paused: the model fails ")
    assert "(inference_failed " in alarm
    assert alarm.endswith("or run `labelstream resume p`")
    time.sleep(0.5)  # earlier results are committed, and no later one is sent
    stats = worker.stats()
    letters, done = sum(stats["dead_letters"].values()), committed(broker.bootstrap, topics.input, topics.input)[0]
    assert letters <= 300
    assert stats["results_out"] == 200
    assert done == 200 + letters
    worker.check()

    assert order(worker, name="resume").status == "done"
    wait_until(lambda: sum(worker.stats()["dead_letters"].values()) > letters + 100, 20, "what was held")
    wait_until(lambda: worker.stats()["state"] == "paused", 20, "the next pause")
    started = time.monotonic()
    assert not worker.stop()  # held messages are left, and stop does not wait for them
    assert time.monotonic() - started < 20
    assert order(worker, name="resume") == CommandAnswer("absent", "the worker has stopped")
    letters = sum(worker.stats()["dead_letters"].values())
    assert len(read_letters(broker.bootstrap, topics.dead_letter, letters)) == letters
    assert committed(broker.bootstrap, topics.input, topics.input)[0] == 200 + letters


def test_silent_model_and_topic_raise_alarms(
    broker: KafkaBroker, topics: Topics, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstream.workers.stream.supervision.stall_detector.SILENT_S", 1.0)
    classifier = FakeClassifier()
    classifier.gate.clear()
    produce(broker.bootstrap, topics.input, messages(10))
    worker = start_worker(topics, classifier, bootstrap=broker.bootstrap, group_id=topics.input, stall_timeout_s=2)
    wait_until(lambda: len(worker.stats()["alarms"]) == 2, 20, "both alarms")
    assert worker.stats()["alarms"] == [
        "model m has not answered for more than 1 s; the pipeline waits",
        f"{topics.input}:0 has made no progress for more than 2 s",
    ]
    with pytest.raises(StreamError, match="in flight for"):
        worker.check()
    classifier.gate.set()
    wait_until(lambda: worker.stats()["alarms"] == [], 20, "the end of both")
    assert worker.stats()["alarms_raised"] == 2


@pytest.mark.parametrize(
    ("policy", "expected", "told"),
    [
        ("earliest", range(40, 60), "earliest resumes at 40: 30 messages were deleted without a result"),
        (
            "latest",
            range(50, 60),
            "latest resumes at 50: 30 messages were deleted without a result, and this skips 10 messages more",
        ),
    ],
)
def test_offset_out_of_range_follows_policy(
    broker: KafkaBroker,
    topics: Topics,
    start_worker: StartWorker,
    caplog: pytest.LogCaptureFixture,
    policy: str,
    expected: range,
    told: str,
) -> None:
    def start(policy: str) -> PipelineWorker:
        return start_worker(topics, bootstrap=broker.bootstrap, group_id=topics.input, on_offset_out_of_range=policy)

    produce(broker.bootstrap, topics.input, messages(10))
    first = start("fail")
    wait_until(lambda: committed(broker.bootstrap, topics.input, topics.input)[0] == 10, 30, "the commit")
    assert first.stop(10)
    produce(broker.bootstrap, topics.input, messages(40, first=10))
    with broker.admin() as admin:
        admin.delete_records({TopicPartition(topics.input, 0): 40})
    loud = start("fail")
    wait_until(lambda: loud.stats()["state"] == "failed", 30, "the failure")
    with pytest.raises(StreamError, match=f"{topics.input}:0:10 is no longer in the log"):
        loud.check()
    assert committed(broker.bootstrap, topics.input, topics.input)[0] == 10

    worker = start(policy)
    wait_until(lambda: worker.stats()["offset_jumps"] == 1, 30, "the jump")
    wait_until(lambda: committed(broker.bootstrap, topics.input, topics.input)[0] >= 40, 20, "its commit")
    produce(broker.bootstrap, topics.input, messages(10, first=50))
    found = [result["id"] for result in read_results(broker.bootstrap, topics.output, 10 + len(expected))]
    assert found == [*range(10), *expected]
    lines = [(line.levelname, line.getMessage()) for line in caplog.records if "not in the log" in line.getMessage()]
    assert lines == [
        (
            "WARNING",
            f"{topics.input}:0: offset 10 is not in the log (40 to 50); on_offset_out_of_range: {told}",
        )
    ]


class TestReplay:
    @pytest.fixture
    def config(self, broker: KafkaBroker, topics: Topics, tmp_path: Path) -> str:
        path = tmp_path / "labelstream.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "kafka": {"bootstrap_servers": broker.bootstrap},
                    "models": {"m": {"source": "unused"}},
                    "pipelines": {
                        "p": {
                            "input": topics.input,
                            "output": topics.output,
                            "dead_letter": topics.dead_letter,
                            "model": "m",
                            "group_id": topics.input,
                        }
                    },
                }
            )
        )
        return str(path)

    @staticmethod
    def replay(config: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return call("replay", "p", "-c", config, *arguments)

    def test_replay_moves_stopped_pipeline_back_and_forth(
        self, broker: KafkaBroker, topics: Topics, start_worker: StartWorker, config: str
    ) -> None:
        def start() -> PipelineWorker:
            return start_worker(topics, bootstrap=broker.bootstrap, group_id=topics.input)

        produce(broker.bootstrap, topics.input, messages(20))
        time.sleep(1.1)
        between = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(0.1)
        produce(broker.bootstrap, topics.input, messages(30, first=20))
        worker = start()
        wait_until(lambda: committed(broker.bootstrap, topics.input, topics.input)[0] == 50, 30, "the commit")

        running = self.replay(config, "--to-earliest", "--yes")
        assert running.returncode == 1
        assert b"pipeline p runs: group" in running.stderr
        assert worker.stop(10)
        dry = self.replay(config, "--to-earliest", "--dry-run")
        assert (dry.returncode, dry.stderr) == (0, b"nothing was changed\n")
        assert dry.stdout.decode().splitlines()[1].split(maxsplit=3)[1:] == ["50", "0", "up to 50 messages again"]
        other = Path(config).with_name("other.yaml")
        other.write_text(Path(config).read_text().replace(f"group_id: {topics.input}", f"group_id: {topics.output}"))
        new = self.replay(str(other), "--to-latest", "--dry-run")
        assert new.stdout.decode().splitlines()[1].split(maxsplit=3)[1:] == ["-", "50", "up to 50 messages skipped"]
        unasked = self.replay(config, "--to-earliest")
        assert unasked.returncode == 2
        assert b"--yes: is missing" in unasked.stderr
        outside = self.replay(config, "--to-offset", f"{topics.input}:0:51", "--yes")
        assert outside.returncode == 2
        assert f"partition {topics.input}:0 has no offset 51; give 0 to 50" in outside.stderr.decode()
        assert committed(broker.bootstrap, topics.input, topics.input)[0] == 50

        assert self.replay(config, "--to-time", between, "--yes").returncode == 0
        assert committed(broker.bootstrap, topics.input, topics.input)[0] == 20
        forth = self.replay(config, "--to-offset", f"{topics.input}:0:45", "--yes")
        assert forth.stdout.decode().splitlines()[1].endswith("20    45  up to 25 messages skipped")
        start()
        ids = Counter(r["id"] for r in read_results(broker.bootstrap, topics.output, 55))
        assert ids == Counter(range(50)) + Counter(range(45, 50))
