"""A short chaos run, and proof that the verifier can fail. `make chaos` is the long run."""

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.classifier import Prediction, Request
from tests.chaos.single_worker import settings_of
from tests.chaos.verify import Expected, Findings, Seen, verify
from tests.kafka import Broker
from tests.support.fakes import predict
from tests.support.streams import committed, produce, read_all, wait_until

COUNT = 3_000
KILLS = 2


@contextmanager
def lone_worker(folder: Path, tree: dict[str, Any], *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker in a process, killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.single_worker", str(folder), json.dumps(tree), *options]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def killed_again_and_again(kafka: Broker, folder: Path, topics: list[str], mode: str, *options: str) -> Findings:
    """Kill a worker several times right after it sent results. Returns the verifier's findings."""
    tree = settings_of(kafka.bootstrap, topics, mode)
    produce(
        kafka.bootstrap,
        topics[0],
        [(b"key-%d" % (i % 40), json.dumps({"text": "x" * (i % 50 + 1)}).encode()) for i in range(COUNT)],
    )
    for _ in range(KILLS):
        (folder / "at-after_send").write_text("kill")
        with lone_worker(folder, tree, *options) as worker:
            assert worker.wait(60) == -signal.SIGKILL
    with lone_worker(folder, tree, *options):
        done = lambda: sum(committed(kafka.bootstrap, topics[0], topics[0]).values()) >= COUNT  # noqa: E731
        wait_until(done, 90, "the last commit")
        time.sleep(1)
        return compare(kafka.bootstrap, topics)


def compare(bootstrap: str, topics: list[str]) -> Findings:
    inputs = {}
    for message in read_all(bootstrap, topics[0], lambda found: len(found) >= COUNT):
        answer = predict(Request(json.loads(message.value())["text"]))
        assert isinstance(answer, Prediction)
        inputs[message.partition(), message.offset()] = Expected(
            "out", message.key(), answer.labels[0], answer.scores[0]
        )
    seen = []
    for message in read_all(bootstrap, topics[1], all_and_what_comes_behind(), timeout_s=12):
        result = json.loads(message.value())
        source = (result["source"]["partition"], result["source"]["offset"])
        seen.append(
            Seen("out", message.partition(), message.offset(), source, message.key(), result["label"], result["score"])
        )
    return verify(inputs, sorted(seen, key=lambda record: (record.partition, record.offset)), [])


def all_and_what_comes_behind(quiet_s: float = 3.0) -> Callable[[list[Any]], bool]:
    """A condition for `read_all`: one record for each input, then `quiet_s` without another record."""
    full_at = math.inf

    def enough(found: list[Any]) -> bool:
        nonlocal full_at
        if len(found) >= COUNT:
            full_at = min(full_at, time.monotonic())
        return time.monotonic() - full_at > quiet_s

    return enough


@pytest.fixture
def topics(make_topic: Callable[..., str]) -> list[str]:
    return [make_topic(3), make_topic(3), make_topic()]


def test_verifier_finds_loss_of_early_commit(kafka: Broker, tmp_path: Path, topics: list[str]) -> None:
    found = killed_again_and_again(kafka, tmp_path, topics, "at_least_once", "sabotage")
    assert found.lost


def test_killed_at_least_once_worker_loses_nothing(kafka: Broker, tmp_path: Path, topics: list[str]) -> None:
    found = killed_again_and_again(kafka, tmp_path, topics, "at_least_once").summary()
    assert found.pop("duplicated") <= KILLS * 500
    assert not any(found.values()), found


def test_killed_exactly_once_worker_loses_and_repeats_nothing(kafka: Broker, tmp_path: Path, topics: list[str]) -> None:
    found = killed_again_and_again(kafka, tmp_path, topics, "exactly_once").summary()
    assert not any(found.values()), found


# The long run has all faults. It alone kills the only broker, because that also tests Kafka's recovery.
KINDS = (
    "worker SIGKILL",
    "killed mid-inference",
    "killed after send_offsets",
    "killed before commit",
    "frozen and thawed (zombie)",
    "loop blocked",
    "network cut or frozen",
    "replica SIGKILL",
)


@pytest.mark.ray
@pytest.mark.timeout(420)
def test_short_chaos_run_finds_nothing() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--messages", "2000", "--faults", "4", "--seed", "3"]
    command += [word for kind in KINDS for word in ("--only", kind)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
