"""The commands on a real broker: produce, tail, check --connect and run."""

import json
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka import KafkaAdminClient, KafkaProducer
from kafka.structs import TopicPartition as SourcePartition

from tests.kafka import Broker, KafkaBroker
from tests.support.command import LABELSTREAM, ROOT, call
from tests.support.models import build
from tests.support.streams import produce, read_all, wait_until

MakeTopic = Callable[..., str]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*LABELSTREAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def until_line(process: subprocess.Popen[str], part: str) -> str:
    """Read output up to the first line with `part` and return that line."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if part in line:
            return line
    raise AssertionError(f"the process ended without {part!r}:\n{''.join(seen)}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model"))


@pytest.fixture
def write_config(tmp_path: Path, model: Path) -> Callable[..., str]:
    def write(bootstrap: str, security: dict[str, Any] | None = None, source: str = "", **pipeline: Any) -> str:
        tree = {
            "kafka": {"bootstrap_servers": bootstrap, **({"security": security} if security else {})},
            "models": {"m": {"source": source or str(model)}},
            "pipelines": {"p": {"model": "m", **pipeline}},
        }
        path = tmp_path / "labelstream.yaml"
        path.write_text(yaml.safe_dump(tree))
        return str(path)

    return write


def test_tail_shows_produced_messages(kafka: Broker, topic: str, tmp_path: Path) -> None:
    lines = b'{"text": "as it is",  "user": "u1"}\nplain \xc3\xa4\n\n'
    (tmp_path / "lines").write_bytes(lines)
    sent = call("produce", topic, str(tmp_path / "lines"), "--bootstrap", kafka.bootstrap)
    assert (sent.returncode, sent.stdout) == (0, b"")
    assert sent.stderr.startswith(f"2 messages acknowledged by {topic}".encode())
    raw = call("produce", topic, "--raw", "--key-separator", "|", "--bootstrap", kafka.bootstrap, stdin=b"k|\xff\x1b\n")
    assert raw.returncode == 0

    values = call("tail", topic, "--json", "--bootstrap", kafka.bootstrap)
    assert values.returncode == 0
    assert values.stdout.splitlines() == [
        b'{"text": "as it is",  "user": "u1"}',
        '{"text": "plain ä"}'.encode(),
        b"\xff\x1b",
    ]
    shown = call("tail", topic, "--bootstrap", kafka.bootstrap, "--max", "3")
    assert shown.stderr == b"3 messages\n"
    assert shown.stdout.decode().splitlines()[2].split("\t")[2:] == ["k", "-", "-", f"{topic}:0:2 \\xff\\x1b"]
    newest = call("tail", topic, "--json", "-n", "1", "--bootstrap", kafka.bootstrap)
    assert (newest.stdout, newest.stderr) == (b"\xff\x1b\n", b"")
    assert [key for key, _ in records(kafka, topic, 3)] == [None, None, b"k"]


def records(kafka: Broker, topic: str, count: int) -> list[tuple[bytes | None, bytes | None]]:
    return [(m.key(), m.value()) for m in read_all(kafka.bootstrap, topic, lambda found: len(found) >= count)]


def test_tail_prints_results_and_dead_letters_in_columns(kafka: Broker, topic: str) -> None:
    result = {
        "label": "GOOD",
        "score": 0.5,
        "id": 7,
        "tokens": 3,
        "truncated": False,
        "model": "m",
        "source": {"topic": "in", "partition": 1, "offset": 2},
    }
    produce(kafka.bootstrap, topic, [(None, json.dumps(result).encode())])
    headers = [
        ("labelstream.reason", b"empty_text"),
        ("__connect.errors.topic", b"in"),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", b"9"),
    ]
    produce(kafka.bootstrap, topic, [(None, b"{}")], headers=headers)
    rows = [line.split("\t") for line in call("tail", topic, "-b", kafka.bootstrap).stdout.decode().splitlines()]
    assert rows == [["GOOD", "0.5000", "7", "3", "m", "in:1:2"], ["! empty_text", "-", "-", "-", "-", "in:0:9"]]


def test_tail_follows_until_interrupt(kafka: Broker, topic: str) -> None:
    produce(kafka.bootstrap, topic, [(None, b"old")])
    with start("tail", topic, "--follow", "--json", "--bootstrap", kafka.bootstrap) as process:
        try:
            assert process.stdout.readline() == "old\n"  # type: ignore[union-attr]
            produce(kafka.bootstrap, topic, [(None, b"new")])
            assert process.stdout.readline() == "new\n"  # type: ignore[union-attr]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_tail_hides_aborted_records(kafka: Broker, topic: str) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(20)
    for value, end in (("committed", producer.commit_transaction), ("aborted", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(10)
        end(20)
    for more in (), ("-n", "1"), ("--from-beginning",):
        assert call("tail", topic, "--json", *more, "--bootstrap", kafka.bootstrap).stdout == b"committed\n"


def test_missing_topic_is_one_line(kafka: Broker) -> None:
    for command in ("produce", "tail"):
        ended = call(command, "nowhere", "--bootstrap", kafka.bootstrap, stdin=b"text\n")
        assert ended.returncode == 1
        [line] = ended.stderr.decode().splitlines()
        assert line.startswith("labelstream: topic nowhere does not exist; create it")


def test_produce_stops_at_unsendable_line_with_number(kafka: Broker, topic: str) -> None:
    ended = call("produce", topic, "--format", "json", "--bootstrap", kafka.bootstrap, stdin=b'{"text": "a"}\nb\n')
    assert ended.returncode == 1
    acknowledged, problem = ended.stderr.decode().splitlines()
    assert acknowledged.startswith("1 message acknowledged")
    assert problem.startswith("labelstream: line 2: not a JSON object")


def test_check_passes_good_config(kafka: Broker, make_topic: MakeTopic, write_config: Callable[..., str]) -> None:
    topics = {
        "input": make_topic(2, {"max.message.bytes": "2000000"}),
        "output": make_topic(),
        "dead_letter": make_topic(),
    }
    ended = call("check", "--connect", "-c", write_config(kafka.bootstrap, **topics, workers=3))
    assert ended.returncode == 0
    notes = [line for line in ended.stdout.decode().splitlines() if line.startswith("note: ")]
    assert f"note: pipelines.p.workers: 3, but topic {topics['input']} has only 2 partitions" in notes[0]
    assert "takes 1048588 bytes a message, the input topic 2000000" in notes[1]


def test_check_names_compacted_topics(kafka: Broker, make_topic: MakeTopic, write_config: Callable[..., str]) -> None:
    compact = {"cleanup.policy": "compact,delete"}
    topics = {
        "input": make_topic(config=compact),
        "output": make_topic(config=compact),
        "dead_letter": make_topic(config=compact),
        "review": make_topic(),
    }
    ended = call("check", "--connect", "-c", write_config(kafka.bootstrap, **topics))
    assert ended.returncode == 0
    output, dead_letter = [line for line in ended.stdout.decode().splitlines() if "cleanup.policy" in line]
    assert output.startswith(f"note: pipelines.p.output: topic {topics['output']} is compacted (cleanup.policy)")
    assert "each message without a key becomes a dead letter; give each message a key" in output
    assert dead_letter.startswith(f"note: pipelines.p.dead_letter: topic {topics['dead_letter']} is compacted")


def test_check_names_output_with_shorter_retention(
    kafka: Broker, make_topic: MakeTopic, write_config: Callable[..., str]
) -> None:
    short = {"retention.ms": "3600000"}
    topics = {
        "input": make_topic(config={"retention.ms": "-1"}),
        "output": make_topic(config=short),
        "dead_letter": make_topic(config=short),
        "review": make_topic(config=short | {"message.timestamp.type": "LogAppendTime"}),
    }
    ended = call("check", "--connect", "-c", write_config(kafka.bootstrap, **topics))
    assert ended.returncode == 0
    [line] = [line for line in ended.stdout.decode().splitlines() if "retention.ms" in line]
    assert line.startswith(
        f"note: pipelines.p.output: topic {topics['output']} keeps records for 1 h (retention.ms), "
        f"the input topic {topics['input']} for good: results of older messages"
    )


def test_check_finds_missing_topic(kafka: Broker, topic: str, write_config: Callable[..., str]) -> None:
    config = write_config(kafka.bootstrap, input=topic, output="nowhere", dead_letter="nowhere-else", source="/none")
    ended = call("check", "--connect", "-c", config)
    assert ended.returncode == 1
    problems = [line for line in ended.stderr.decode().splitlines() if line.startswith("problem: ")]
    assert [line.partition(";")[0] for line in problems] == [
        "problem: pipelines.p.output: topic nowhere does not exist",
        "problem: pipelines.p.dead_letter: topic nowhere-else does not exist",
        "problem: models.m.source: /none: no such directory",
    ]


@pytest.fixture(scope="module")
def guarded() -> Iterator[KafkaBroker]:
    with KafkaBroker(users={"admin": "secret1", "worker": "secret2"}, super_users=["admin"]) as broker:
        for name in ("in", "out", "dlq"):
            broker.create_topic(name)
        broker.allow("worker", "read", topic="in")
        broker.allow("worker", "read", topic="out")
        broker.allow("worker", "write", topic="dlq")
        yield broker


def worker_login(folder: Path) -> dict[str, str]:
    """`kafka.security` of a user without any rights."""
    file = folder / "password"
    file.write_text("secret2\n")
    login = {"username": "worker", "password_file": str(file)}
    return {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", **login}


def test_check_finds_missing_permissions(
    guarded: KafkaBroker, write_config: Callable[..., str], tmp_path: Path
) -> None:
    security = worker_login(tmp_path)
    config = write_config(guarded.bootstrap, security, input="in", output="out", dead_letter="dlq", source="/none")
    ended = call("check", "--connect", "-c", config)
    assert ended.returncode == 1
    unseen = "the settings of topic dlq cannot be read (DESCRIBE_CONFIGS is missing)"
    assert f"note: pipelines.p.dead_letter: {unseen}" in ended.stdout.decode()
    problems = [line for line in ended.stderr.decode().splitlines() if line.startswith("problem: ")]
    assert problems[:2] == [
        "problem: pipelines.p.output: no permission to write topic out; grant WRITE on it",
        "problem: pipelines.p.group_id: no permission to read group labelstream-p; grant READ on it",
    ]
    ended = call("produce", "out", "-c", config, stdin=b"text\n")
    assert ended.returncode == 1
    assert ended.stderr.decode() == "labelstream: no permission to write topic out; grant WRITE on it\n"
    (tmp_path / "password").write_text("wrong")
    ended = call("tail", "in", "-c", config)
    assert ended.returncode == 1
    assert "labelstream: kafka.security: the broker at" in ended.stderr.decode()
    assert b"wrong" not in ended.stderr + ended.stdout


def test_lag_of_stopped_pipeline_is_read_from_brokers(
    kafka: Broker, make_topic: MakeTopic, write_config: Callable[..., str], tmp_path: Path
) -> None:
    name = make_topic(2)
    produce(kafka.bootstrap, name, [(None, b"{}")] * 5, partition=1)
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"group-{name}"})) as consumer:
        consumer.commit(offsets=[TopicPartition(name, 1, 3)], asynchronous=False)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(name, b"{}", partition=1)
    producer.flush(10)
    config = write_config(kafka.bootstrap, input=name, output="out", dead_letter="dlq", group_id=f"group-{name}")
    ended = call("lag", "p", "--json", "-c", config)
    producer.abort_transaction(20)
    assert (ended.returncode, ended.stderr) == (0, b"")
    found = json.loads(ended.stdout)["p"]
    age = found["partitions"][f"{name}:1"].pop("oldest_s")
    assert found == {
        "topics": [name],
        "group": f"group-{name}",
        "members": 0,
        "lag": 2,  # records of an open transaction do not count
        "oldest_s": age,
        "partitions": {
            f"{name}:0": {"committed": None, "start": 0, "end": 0, "lag": 0, "lost": 0, "oldest_s": None},
            f"{name}:1": {"committed": 3, "start": 0, "end": 5, "lag": 2, "lost": 0},
        },
    }
    assert 0 <= age < 3_600
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"group-{name}"})) as consumer:
        consumer.commit(offsets=[TopicPartition(name, 1, 5)], asynchronous=False)
    wait_until(
        lambda: b"  5    7    0       -" in call("lag", "p", "-c", config).stdout, 20
    )  # an aborted record, a marker


def test_lag_names_the_missing_rights(guarded: KafkaBroker, write_config: Callable[..., str], tmp_path: Path) -> None:
    guarded.create_topic("seen")
    guarded.allow("worker", "describe", topic="seen")
    security = worker_login(tmp_path)
    topics = {"input": "seen", "output": "out", "dead_letter": "dlq"}
    config = write_config(guarded.bootstrap, security, **topics)
    ended = call("lag", "-c", config)
    assert ended.returncode == 1
    assert ended.stderr == b"labelstream: no permission to see group labelstream-p; grant DESCRIBE on it\n"
    guarded.allow("worker", "describe", group="labelstream-p")
    with closing(KafkaProducer(**guarded.client_config("admin"))) as producer:
        producer.send("seen", b"{}").get(10)
    ended = call("lag", "-c", config)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(b"p: 1 message behind\n")
    assert ended.stderr == b"note: no permission to read topic seen, so ages are unknown; grant READ on the topic\n"
    ended = call("lag", "-c", write_config(guarded.bootstrap, security, **(topics | {"input": "hidden"})))
    assert ended.stderr.startswith(b"labelstream: no permission to see topic hidden")


def test_tail_shows_text_of_result_or_why_gone(
    kafka: Broker, make_topic: MakeTopic, write_config: Callable[..., str]
) -> None:
    source, results = make_topic(partitions=1), make_topic(partitions=1)
    lines = b"".join(b'{"text": "text %d", "user": {"id": %d}}\n' % (number, number) for number in range(5))
    config = write_config(kafka.bootstrap, input=source, output=results, dead_letter="none.dlq")
    assert call("produce", "p", "-c", config, "--key-field", "user.id", stdin=lines).returncode == 0
    answers = [
        {"label": "GOOD", "score": 1, "source": {"topic": source, "partition": 0, "offset": offset}}
        for offset in (4, 0, 2)
    ]
    stdin = "".join(f"{json.dumps(answer)}\n" for answer in answers).encode()
    assert call("produce", results, "-c", config, stdin=stdin).returncode == 0
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({SourcePartition(source, 0): 2})
    shown = call("tail", results, "--with-text", "--json", "-c", config, "--since", "1h")
    assert shown.returncode == 0, shown.stderr
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["text"] for line in found] == ["text 4", None, "text 2"]
    assert found[1]["text_missing"] == "deleted by retention: the log begins at 2"
    assert call("tail", results, "--json", "-c", config, "--since", "2100-01-01").stdout == b""


def test_commands_work_on_in_memory_broker(write_config: Callable[..., str]) -> None:
    with start("broker") as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert call("produce", "any", "--bootstrap", address, stdin=b"text\n").returncode == 0
            assert call("tail", "any", "--json", "--bootstrap", address).stdout == b'{"text": "text"}\n'
            topics = {"input": "any", "output": "out", "dead_letter": "dlq"}
            assert call("lag", "-c", write_config(address, **topics)).stdout.startswith(b"p: 1 message behind")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
