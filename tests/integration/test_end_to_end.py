"""The whole application as users run it: `labelstream run` as a process, a real broker, a real Ray, a real model.

Messages are produced and results consumed by foreign clients: confluent-kafka (librdkafka) and kcat.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import transformers
import yaml

from labelstream.schemas.export import json_schema
from tests.kafka import Broker
from tests.support.models import TEXTS, build
from tests.support.streams import Topics, committed, produce, read_all, read_until_complete, wait_until

PARTITIONS = 6
pytestmark = pytest.mark.ray
START_S, DRAIN_S = 240.0, 90.0


class Process:
    """One `labelstream run` in its own process group."""

    def __init__(self, config: Path, log: Path) -> None:
        self.config, self.log = config, log
        self._file = log.open("ab")
        command = [str(Path(sys.executable).with_name("labelstream")), "run", "-c", str(config)]
        self.process = subprocess.Popen(
            command,
            cwd=folder_of_traps(config.parent),
            stdout=self._file,
            stderr=self._file,
            start_new_session=True,
            env={**os.environ, "LABELSTREAM_TEST_RUN": str(config)},
        )  # marks Ray's processes as this run's

    def text(self) -> str:
        return self.log.read_text(errors="replace")[-4_000:]

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(DRAIN_S)
        self._file.close()
        return status

    def kill_everything(self) -> None:
        """Send SIGKILL to the command and all its child processes at once, as if the machine were lost."""
        for pid in [*descendants(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10)
        self._file.close()


def folder_of_traps(parent: Path) -> Path:
    """A working directory with modules named like the project's packages: nothing may import them."""
    folder = parent / "folder"
    for part in ("workers", "deploy"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / "__init__.py").write_text("raise ImportError('the wrong one')")
    (folder / "schemas.py").write_text("raise ImportError('the wrong one')")
    return folder


def descendants(pid: int) -> list[int]:
    """All processes below `pid`."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: list[int] = []
    pending = [pid]
    while pending:
        children = parents.get(pending.pop(), [])
        found += children
        pending += children
    return found


def processes_of(config: Path) -> list[str]:
    """Command lines of leftover processes: the command's, and Ray's below its folder."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            mine = f"LABELSTREAM_TEST_RUN={config}".encode() in entry.read_bytes()
            line = entry.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mine and int(entry.parent.name) != os.getpid():
            lines.append(line)
    return lines


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model") / "distilbert")


@pytest.fixture
def topics(make_topic: Callable[..., str]) -> Topics:
    return Topics(make_topic(PARTITIONS), make_topic(PARTITIONS), make_topic())


@pytest.fixture
def run(kafka: Broker, model: Path, topics: Topics, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    """run() starts the command on this test's topics; running commands are killed at the end."""
    config = tmp_path / "labelstream.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "kafka": {"bootstrap_servers": kafka.bootstrap, "session_timeout_ms": 6_000},
                "models": {"tiny": {"source": str(model), "dtype": "float32"}},
                "pipelines": {
                    "e2e": {
                        "input": topics.input,
                        "output": topics.output,
                        "dead_letter": topics.dead_letter,
                        "model": "tiny",
                        "max_poll_records": 200,
                    }
                },
            }
        )
    )
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(config, tmp_path / f"run-{len(started)}.log"))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill_everything()


def texts(count: int) -> list[str]:
    return [f"{TEXTS[i % len(TEXTS)]} {i}" for i in range(count)]


def records(count: int, first: int = 0) -> list[tuple[bytes, bytes]]:
    return [
        (b"key-%d" % (i % 97), json.dumps({"id": i, "text": text}).encode())
        for i, text in enumerate(texts(first + count))
        if i >= first
    ]


def results_so_far(bootstrap: str, topic: str) -> int:
    return len(read_all(bootstrap, topic, lambda found: False, timeout_s=0.7))


def assert_equal_to_pipeline(results: list[dict[str, Any]], model: Path) -> None:
    """Labels and scores must equal those of transformers' pipeline on the same texts."""
    sample = results[:: max(1, len(results) // 300)]
    pipeline: Any = transformers.pipeline("text-classification", model=str(model), device="cpu", top_k=None)
    expected = pipeline([texts(r["id"] + 1)[-1] for r in sample], truncation=True, batch_size=1)
    for result, scores in zip(sample, expected, strict=True):
        ours = {entry["label"]: entry["score"] for entry in result["scores"]}
        assert ours == pytest.approx({entry["label"]: entry["score"] for entry in scores}, abs=1e-5)
        assert result["label"] == max(ours, key=lambda label: ours[label])


def kcat(bootstrap: str, topic: str, pattern: str) -> list[str]:
    """One line for each record of the topic."""
    command = ["kcat", "-b", bootstrap, "-C", "-t", topic, "-e", "-q", "-f", pattern]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()


def test_foreign_clients_produce_and_consume(
    kafka: Broker, topics: Topics, model: Path, run: Callable[[], Process]
) -> None:
    """10,000 messages from librdkafka and a few from kcat, one of them broken: all come out and are counted."""
    count = 10_000
    produce(kafka.bootstrap, topics.input, records(count), headers=[("trace", b"abc")])
    process = run()
    found = read_all(kafka.bootstrap, topics.output, lambda found: len(found) >= count, START_S)
    assert len(found) == count, process.text()
    values = [json.loads(message.value()) for message in found]
    assert sorted(value["id"] for value in values) == list(range(count))
    validator = jsonschema.Draft202012Validator(json_schema("result"))
    for message, value in zip(found, values, strict=True):
        validator.validate(value)
        assert message.key() == b"key-%d" % (value["id"] % 97)
        assert message.headers() == [("trace", b"abc")]
    assert_equal_to_pipeline(values, model)
    said = process.log.read_text()
    assert " INFO model-tiny/" in said
    assert " INFO pipeline-e2e/" in said

    lines = "".join(f"kcat-{i}:{json.dumps({'id': i, 'text': text})}\n" for i, text in enumerate(texts(50)))
    lines += "bad:not json\n"
    subprocess.run(
        ["kcat", "-b", kafka.bootstrap, "-P", "-t", topics.input, "-K", ":"],
        input=lines,
        text=True,
        check=True,
        timeout=30,
    )
    done = lambda: sum(committed(kafka.bootstrap, "labelstream-e2e", topics.input).values()) == count + 51  # noqa: E731
    wait_until(done, 30, "the commit")
    results = dict(line.split("\t", 1) for line in kcat(kafka.bootstrap, topics.output, "%k\t%s\n"))
    assert {key: json.loads(value)["id"] for key, value in results.items() if key.startswith("kcat-")} == {
        f"kcat-{i}": i for i in range(50)
    }
    (letter,) = kcat(kafka.bootstrap, topics.dead_letter, "%k\t%s\t%h\n")
    assert letter.startswith("bad\tnot json\t")
    assert "labelstream.reason=invalid_json" in letter

    counts = f"results {count + 50}, dead letters 1 (invalid_json 1), lag 0"
    wait_until(lambda: counts in process.text(), 30, "the line that counts")
    assert "everything runs" in process.log.read_text()
    assert process.terminate() == 0, process.text()
    assert process.text().splitlines()[-1].endswith("INFO stopped")
    assert processes_of(process.config) == []


def in_mid_stream(kafka: Broker, topics: Topics, done: int) -> None:
    """Wait for more than 1,000 results beyond `done`."""
    wait_until(lambda: results_so_far(kafka.bootstrap, topics.output) > done + 1_000, START_S, "the stream")


def test_killed_and_terminated_runs_lose_nothing(kafka: Broker, topics: Topics, run: Callable[[], Process]) -> None:
    """SIGKILL to all processes loses nothing; after SIGTERM to the next run, all its results are committed."""
    count = 20_000
    produce(kafka.bootstrap, topics.input, records(count))
    first = run()
    in_mid_stream(kafka, topics, 0)
    first.kill_everything()
    before = results_so_far(kafka.bootstrap, topics.output)
    assert before < count, "the run finished before the kill"
    second = run()
    # Read once for both checks: another reader sees the partitions in another order and ends at other results.
    events = read_until_complete(kafka.bootstrap, topics.output, count, START_S)
    assert {event["id"] for event in events} == set(range(count)), second.text()
    by_event = Counter(event["event_id"] for event in events)
    assert len(by_event) == count  # duplicates have the same event_id

    produce(kafka.bootstrap, topics.input, records(count, count))
    in_mid_stream(kafka, topics, len(events))
    assert second.terminate() == 0, second.text()
    results = read_all(kafka.bootstrap, topics.output, lambda found: False, timeout_s=4)
    later = [event["id"] for event in map(json.loads, (message.value() for message in results)) if event["id"] >= count]
    assert 1_000 < len(later) == len(set(later)) < count
    offsets = committed(kafka.bootstrap, "labelstream-e2e", topics.input)
    assert sum(offsets.values()) == count + len(later)
    assert processes_of(second.config) == []
