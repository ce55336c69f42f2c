"""Dead letters on a real broker: listed, exported, and redriven once despite crashes and concurrent redrives."""

import json
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer
from kafka import KafkaProducer
from kafka.codec import zstd_encode
from kafka.errors import KafkaTimeoutError
from kafka.structs import TopicPartition

from labelstream.deploy.cli.main import main
from labelstream.workers.classifier import Fault, RecordError
from labelstream.workers.stream.broker.bounded_reader import make_reader, read_up_to
from labelstream.workers.stream.codec.encoding.dead_letters import omission
from labelstream.workers.stream.dlq import redrive
from tests.integration.conftest import MakeTopic, StartWorker
from tests.kafka import Broker
from tests.support import raw_batches as raw
from tests.support.fakes import FakeClassifier, predict
from tests.support.streams import Topics, produce, read_all, read_letters, settings_for

ROOT = Path(__file__).parents[2]
Ended = tuple[int, list[str], list[str]]  # exit code, lines of stdout, lines of stderr
Call = Callable[..., Ended]
DeadLetter = dict[str, Any]


@pytest.fixture
def topics(make_topic: MakeTopic) -> Topics:
    return Topics(make_topic(2), make_topic(), make_topic(2))


@pytest.fixture
def config(kafka: Broker, topics: Topics, tmp_path: Path) -> str:
    return write_config(tmp_path, kafka.bootstrap, topics)


def write_config(folder: Path, bootstrap: str, topics: Topics) -> str:
    path = folder / "labelstream.yaml"
    path.write_text(yaml.safe_dump(settings_for(bootstrap, topics).model_dump(mode="json", exclude_unset=True)))
    return str(path)


@pytest.fixture
def dlq(config: str, capsys: pytest.CaptureFixture[str]) -> Call:
    """dlq("list", ...) runs the command in this process."""

    def call(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(["dlq", *arguments, "-c", config])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out.splitlines(), captured.err.splitlines()

    return call


def letter(
    source: str,
    offset: int,
    value: bytes | None = None,
    key: bytes | None = None,
    reason: str = "invalid_json",
    headers: Any = (),
    **more: Any,
) -> DeadLetter:
    """A dead letter for `bury`; `more`: further arguments of confluent's `produce`."""
    place = {"topic": source, "partition": "1", "offset": str(offset)}
    return {
        "value": value,
        "key": key,
        "headers": [
            *headers,
            *((f"__connect.errors.{name}", text) for name, text in place.items()),
            ("labelstream.reason", reason),
            ("labelstream.attempts", "1"),
        ],
        **more,
    }


def bury(kafka: Broker, topic: str, letters: list[DeadLetter]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 5})
    for kept in letters:
        producer.produce(topic, **{"partition": 0, **kept})
    assert producer.flush(20) == 0


def many(topics: Topics, count: int) -> list[DeadLetter]:
    """Dead letters with distinct values."""
    return [letter(topics.input, number, b"value %d" % number, b"key", partition=number % 2) for number in range(count)]


def all_in(kafka: Broker, topic: str) -> list[Any]:
    """Records of a topic that a read_committed reader sees now; the test's own records mark the ends."""
    mark, partitions = uuid.uuid4().bytes, 2
    for number in range(partitions):
        produce(kafka.bootstrap, topic, [(None, mark)], headers=[("mark", b"")], partition=number)
    found = read_all(kafka.bootstrap, topic, lambda seen: sum(m.value() == mark for m in seen) == partitions, 20)
    assert sum(m.value() == mark for m in found) == partitions, "an open transaction hides later records"
    return [message for message in found if message.headers() != [("mark", b"")]]


def assert_each_once(kafka: Broker, topics: Topics, count: int) -> None:
    assert Counter(m.value() for m in all_in(kafka, topics.input)) == Counter(b"value %d" % n for n in range(count))


def test_list_show_and_export_of_dead_letters(kafka: Broker, topics: Topics, dlq: Call, tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    bury(
        kafka,
        topics.dead_letter,
        [
            letter("here", 7, b"secret \xff\x1b", b"k", headers=[("own", b"\xfe"), ("own", "x\n")]),
            letter("here", 8, b"", reason="empty_text", timestamp=now_ms - 7_200_000),
            letter("there", 9, None, b"k", partition=1),
            {"value": b"foreign", "headers": [("labelstream.attempts", b"many")]},
        ],
    )
    code, rows, err = dlq("list")
    assert (code, err) == (0, ["dead letters: 4 (invalid_json 2, empty_text 1, no reason 1), of which 0 redriven"])
    assert "secret" not in "".join(rows)
    cells = {row.split("\t")[0]: row.split("\t")[2:] for row in rows}
    assert cells == {
        "0:0": ["invalid_json", "here:1:7", "1", "no"],
        "0:1": ["empty_text", "here:1:8", "1", "no"],
        "1:0": ["invalid_json", "there:1:9", "1", "no"],
        "0:2": ["-", "-", "0", "no"],
    }

    def places(*filters: str) -> set[tuple[int, int]]:
        return {(entry["partition"], entry["offset"]) for entry in map(json.loads, dlq("list", "--json", *filters)[1])}

    assert places("--reason", "empty_text", "--reason", "invalid_json") == {(0, 0), (0, 1), (1, 0)}
    assert places("--topic", "there") == {(1, 0)}
    assert places("--since", "1h") == {(0, 0), (0, 2), (1, 0)}
    assert places("--until", "1h") == {(0, 1)}
    assert places("--at", "0:2", "--offset", "1:0", "--at", "1:7") == {(0, 2), (1, 0)}
    assert len(places("--limit", "2")) == 2

    code, shown, _ = dlq("show", "0:0")
    assert {"  own: \\xfe", "  own: x\\n", "key       k", "value     secret \\xff\\x1b"} < set(shown)
    assert dlq("show", "1:5")[2][0].startswith("labelstream: no dead letter at 1:5; ")

    exported = [json.loads(line) for line in dlq("export", "-", "--topic", "here")[1]]
    assert [entry["value"] for entry in exported] == [{"base64": "c2VjcmV0IP8b"}, ""]
    assert exported[0]["headers"][:2] == [["own", {"base64": "/g=="}], ["own", "x\n"]]
    assert dlq("export", "/no/such/file")[0] == 2
    ours = tmp_path / "letters"
    ours.touch(0o644)
    assert dlq("export", str(ours))[0] == 0
    assert ours.stat().st_mode & 0o777 == 0o600  # contains texts and keys: only the owner may read
    assert dlq("export", str(tmp_path / "letters"), "--topic", "there")[2] == ["exported 1 dead letter"]
    [entry] = map(json.loads, (tmp_path / "letters").read_text().splitlines())
    assert (entry["key"], entry["value"], entry["offset"]) == ("k", None, 0)


def test_redrive_after_dry_run_sends_once(kafka: Broker, topics: Topics, dlq: Call) -> None:
    bury(
        kafka,
        topics.dead_letter,
        [
            letter(
                topics.input, 0, b"one", b"k", headers=[("own", b"1"), ("own", b"2"), ("labelstream.redriven", b"4")]
            ),
            letter(topics.input, 1, b"", reason="tombstone"),
            letter("elsewhere", 2, b"other", b"k"),
        ],
    )
    told = "1 not sent: made of another topic's records (--to sends them) (0:2)"
    assert dlq("redrive", "--dry-run")[2] == [f"2 dead letters would be sent to {topics.input}", told]
    code, _, [line] = dlq("redrive")
    assert code == 2
    assert line.startswith("labelstream: --yes: is missing, and there is no terminal to ask on")

    created, *lines = dlq("redrive", "--yes")[2]
    assert created == f"created the compacted topic {topics.dead_letter}.redriven, the ledger of redrives"
    assert lines == [f"2 dead letters sent to {topics.input}", told]
    assert dlq("redrive", "--yes", "--reason", "tombstone")[2] == [
        f"0 dead letters sent to {topics.input}",
        "1 not sent: redriven already (0:1)",
    ]
    first, second = all_in(kafka, topics.input)
    assert (first.key(), first.value(), first.partition()) == (b"k", b"one", 1)
    assert first.headers() == [
        ("own", b"1"),
        ("own", b"2"),
        ("labelstream.attempts", b"1"),
        ("labelstream.redriven", b"5"),
    ]
    assert (second.key(), second.value()) == (None, None)

    assert dlq("redrive", "--yes", "--to", topics.output)[2][0] == f"1 dead letter sent to {topics.output}"
    assert dlq("list")[2] == ["dead letters: 3 (invalid_json 2, tombstone 1), of which 3 redriven"]


def test_redrive_takes_omitted_value_from_source(kafka: Broker, topics: Topics, dlq: Call) -> None:
    own = [("own", b"1"), ("labelstream.attempts", b"1")]
    produce(kafka.bootstrap, topics.input, [(b"k", b"long"), (b"k", b"other")], headers=own, partition=1)

    def omitted(offset: int, value: bytes) -> DeadLetter:
        return letter(topics.input, offset, b"", headers=[("labelstream.value_omitted", omission(value))])

    bury(kafka, topics.dead_letter, [omitted(0, b"long"), omitted(1, b"another"), omitted(2, b"long")])
    assert dlq("redrive", "--yes")[2][1:] == [
        f"1 dead letter sent to {topics.input}",
        "2 not sent: value or headers omitted, and the source record is gone (0:1, 0:2)",
    ]
    again = all_in(kafka, topics.input)[-1]
    assert (again.key(), again.value()) == (b"k", b"long")
    assert again.headers() == [("own", b"1"), ("labelstream.attempts", b"1"), ("labelstream.redriven", b"1")]


def test_redrive_of_binary_or_unreadable_dead_letters(
    kafka: Broker, topics: Topics, dlq: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A header name that is not UTF-8 keeps its bytes; an omitted value is never sent as an empty one."""
    place = [
        (f"__connect.errors.{name}".encode(), text)
        for name, text in (("topic", topics.input.encode()), ("partition", b"0"), ("offset", b"7"))
    ]
    told = [*place, (b"labelstream.reason", b"too_large"), (b"labelstream.value_omitted", b"unread")]
    zeros = zstd_encode(raw.record(0, bytes(70 << 20)))  # above every reader's limit
    for letters in (
        raw.batch([raw.record(0, b"value", headers=[(b"stra\xdfe", b"1"), *place]), raw.record(1, b"", headers=told)]),
        raw.batch([], count=1, codec=4, packed=zeros),
    ):
        assert raw.send(kafka.bootstrap, topics.dead_letter, letters) == 0
    assert len(dlq("list")[1]) == 3
    assert "  stra\\xdfe: 1" in dlq("show", "0:0")[1]
    assert "value     (left out: unread)" in dlq("show", "0:2")[1]
    assert dlq("export", str(tmp_path / "letters"))[2] == ["exported 3 dead letters"]
    first = json.loads((tmp_path / "letters").read_text().splitlines()[0])
    assert first["headers"][0] == [{"base64": "c3RyYd9l"}, "1"]

    sent, unread = dlq("redrive", "--yes", "--to", topics.output)[2][1:]
    assert sent == f"1 dead letter sent to {topics.output}"
    assert unread.startswith("2 not sent: unreadable; `labelstream replay -c /")
    assert unread.endswith(".yaml` reads the input again from there (0:1, 0:2)")
    with closing(make_reader(kafka.client_config())) as consumer:
        place_of_it = TopicPartition(topics.output, 0)
        consumer.assign([place_of_it])
        [sent] = read_up_to(settings_for(kafka.bootstrap, topics).required_kafka, consumer, {place_of_it: 1})
    assert [(name.encode(), value) for name, value in sent.headers] == [
        (b"stra\xdfe", b"1"),
        (b"labelstream.attempts", b"0"),
        (b"labelstream.redriven", b"1"),
    ]
    with pytest.raises(SystemExit):
        main(["tail", topics.dead_letter, "--bootstrap", kafka.bootstrap])
    assert "(cannot be read: the batch decompresses beyond " in capsys.readouterr().out


KILLED = """
import os, signal, sys
from kafka import KafkaProducer
from labelstream.deploy.cli.main import main
from labelstream.workers.stream.dlq import redrive

redrive.CHUNK_LETTERS = 10
calls = 0

def killed(self, *arguments):
    global calls
    calls += 1
    if when == "before" and arguments[0].endswith(".redriven") and calls == 50:
        self.flush()  # the 25th letter is with the broker, its entry in the ledger is not
        os.kill(os.getpid(), signal.SIGKILL)
    future = original(self, *arguments)
    if when == "after" and calls == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return future

when, config = sys.argv[1:]
name = {"before": "send", "after": "commit_transaction"}[when]
original = getattr(KafkaProducer, name)
setattr(KafkaProducer, name, killed)
main(["dlq", "redrive", "--yes", "-c", config])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_redrive_killed_in_mid_chunk_resumes_without_duplicates(
    kafka: Broker, topics: Topics, config: str, dlq: Call, when: str
) -> None:
    """`before`: killed before the ledger entry of a sent record; `after`: killed after an unconfirmed commit."""
    bury(kafka, topics.dead_letter, many(topics, 60))
    ended = subprocess.run([sys.executable, "-c", KILLED, when, config], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert dlq("list")[2][0].endswith("of which 20 redriven")
    sent, skipped = dlq("redrive", "--yes")[2]
    assert sent == f"40 dead letters sent to {topics.input}"
    assert skipped.startswith("20 not sent: redriven already")
    assert_each_once(kafka, topics, 60)


def test_second_redrive_fences_first(
    kafka: Broker, topics: Topics, config: str, dlq: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second redrive runs while the first is about to commit: the first is fenced."""
    bury(kafka, topics.dead_letter, many(topics, 60))
    commit, commits = KafkaProducer.commit_transaction, 0

    def interrupted(producer: KafkaProducer) -> None:
        nonlocal commits
        commits += 1
        if commits == 3:
            second = [sys.executable, "-m", "labelstream.deploy.cli", "dlq", "redrive", "--yes", "-c", config]
            others.append(subprocess.run(second, cwd=ROOT, capture_output=True, text=True))
        commit(producer)

    others: list[subprocess.CompletedProcess[str]] = []
    monkeypatch.setattr(KafkaProducer, "commit_transaction", interrupted)
    monkeypatch.setattr(redrive, "CHUNK_LETTERS", 10)
    code, _, err = dlq("redrive", "--yes")
    assert code == 1
    assert err[-1].startswith("labelstream: after 20 dead letters: the commit was not confirmed (another redrive ")
    assert others[0].stderr.splitlines()[0] == f"40 dead letters sent to {topics.input}", others[0].stderr
    assert dlq("redrive", "--yes")[2][0].startswith("0 dead letters sent")
    assert_each_once(kafka, topics, 60)


def test_unacknowledged_record_aborts_its_chunk(
    kafka: Broker, topics: Topics, dlq: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kafka-python commits a transaction without its failed records; only their futures tell."""
    bury(kafka, topics.dead_letter, many(topics, 20))
    send = KafkaProducer.send

    def expired(timeout_s: float) -> None:
        raise KafkaTimeoutError("expired")

    def lossy(self: KafkaProducer, topic: str, value: Any, *more: Any) -> Any:
        if value == b"value 13":
            return SimpleNamespace(get=expired)
        return send(self, topic, value, *more)

    with monkeypatch.context() as patched:
        patched.setattr(KafkaProducer, "send", lossy)
        patched.setattr(redrive, "CHUNK_LETTERS", 5)
        code, _, err = dlq("redrive", "--yes")
    assert code == 1
    assert err[-1].endswith("KafkaTimeoutError: expired; no record of the last chunk was redriven; run it again")
    assert dlq("redrive", "--yes")[0] == 0
    assert_each_once(kafka, topics, 20)


def test_ledger_not_compacted_is_refused(kafka: Broker, topics: Topics, dlq: Call) -> None:
    bury(kafka, topics.dead_letter, many(topics, 1))
    kafka.create_topic(f"{topics.dead_letter}.redriven")
    code, _, [line] = dlq("redrive", "--yes")
    assert code == 1
    assert line.startswith(f"labelstream: topic {topics.dead_letter}.redriven: cleanup.policy is delete, ")
    assert all_in(kafka, topics.input) == []


def test_dead_letters_of_recreated_topic_are_new(kafka: Broker, topics: Topics, dlq: Call) -> None:
    bury(kafka, topics.dead_letter, many(topics, 1))
    assert dlq("redrive", "--yes")[0] == 0
    with kafka.admin() as admin:
        admin.delete_topics([topics.dead_letter])
    time.sleep(0.5)
    kafka.create_topic(topics.dead_letter, 2)
    bury(kafka, topics.dead_letter, many(topics, 1))
    assert dlq("redrive", "--yes")[2] == [f"1 dead letter sent to {topics.input}"]


def test_redrive_counts_attempts(kafka: Broker, topics: Topics, dlq: Call, start_worker: StartWorker) -> None:
    mended = False

    def answer(request: Any) -> Any:
        return predict(request) if mended else RecordError(Fault.INFERENCE_FAILED, "ValueError", attempts=2)

    own = [("own", b"1"), ("labelstream.attempts", b"-3"), ("labelstream.redriven", b"\xff")]
    produce(kafka.bootstrap, topics.input, [(b"k", b'{"text": "a text"}')], headers=own)
    start_worker(topics, FakeClassifier(answer))
    for round_, attempts in enumerate(["2", "4", "6"]):
        headers, found = read_letters(kafka.bootstrap, topics.dead_letter, round_ + 1)[round_]
        assert (headers["labelstream.attempts"], headers.get("labelstream.redriven", "0")) == (attempts, str(round_))
        names = [name for name, _ in found.headers()]
        assert len(names) == len(set(names))
        mended = attempts == "6"
        assert f"1 dead letter sent to {topics.input}" in dlq("redrive", "--yes")[2]
    [result] = read_all(kafka.bootstrap, topics.output, lambda seen: len(seen) >= 1)
    assert result.headers() == [("own", b"1")]


def test_dlq_commands_work_on_in_memory_broker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 0})
    [broker] = producer.list_topics(timeout=10).brokers.values()
    producer.produce("dlq", **letter("in", 0, b"value", partition=0))
    assert producer.flush(10) == 0
    config = write_config(tmp_path, f"{broker.host}:{broker.port}", Topics("in", "out", "dlq"))
    for arguments, code, text in (
        (("list", "--since", "1h"), 0, "invalid_json\tin:1:0"),
        (("export", "-"), 0, '"value": "value"'),
        (("show", "0:0"), 0, "value     value"),
        (("redrive", "--yes"), 1, "the in-memory broker has no real transactions"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["dlq", *arguments, "-c", config])
        assert (ended.value.code or 0) == code
        captured = capsys.readouterr()
        assert text in captured.out + captured.err
