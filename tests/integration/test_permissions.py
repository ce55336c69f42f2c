"""The commands of docs/how-to/secure.md grant each task's rights: each task works after its grant, and not before."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaProducer

from tests.integration.conftest import StartWorker
from tests.kafka import KafkaBroker
from tests.kafka.install import java_command
from tests.support.command import ROOT, call
from tests.support.fakes import FakeClassifier
from tests.support.streams import Topics, wait_until

PAGE = (ROOT / "docs/how-to/secure.md").read_text(encoding="utf-8").split("## Permissions\n")[1].split("\n## ")[0]
SECTIONS = dict(re.findall(r"^### Permissions (.+?)\n(.*?)(?=^### |\Z)", PAGE, re.DOTALL | re.MULTILINE))
[SHARED] = re.findall(r"^```sh\n(ACLS=.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
LEDGER = "feedback.dlq.redriven"
TOPICS = Topics("feedback.raw", "feedback.labels", "feedback.dlq")
GROUP = "labelstream-feedback"
COMMANDS = {
    "to send and read": [["produce", "feedback", "--wrap"], ["tail", "feedback"], ["tail", "feedback", "--with-text"]],
    "to read the lag": [["lag"]],
    "to replay": [["replay", "feedback", "--to-earliest", "--yes"]],
    "to read dead letters": [["dlq", "list"], ["dlq", "export", "-"], ["dlq", "show", "0:0"]],
}
USERS = ("worker", "once", "create", "redrive", *(f"user{number}" for number in range(len(COMMANDS))))


@pytest.fixture(scope="module")
def guarded() -> Iterator[KafkaBroker]:
    users = {"admin": "secret1"} | dict.fromkeys(USERS, "secret2")
    with KafkaBroker(users=users, super_users=["admin"]) as broker:
        for name in (TOPICS.input, TOPICS.output, TOPICS.dead_letter):
            broker.create_topic(name)
        broker.create_topic(LEDGER, 1, {"cleanup.policy": "compact"})
        with closing(KafkaProducer(**broker.client_config("admin"))) as producer:
            producer.send(TOPICS.input, b"not json").get(10)
            place = {"topic": TOPICS.input, "partition": "0", "offset": "0"}
            headers = [(f"__connect.errors.{name}", text.encode()) for name, text in place.items()]
            letter = [*headers, ("labelstream.reason", b"invalid_json"), ("labelstream.attempts", b"1")]
            producer.send(TOPICS.dead_letter, b"not json", headers=letter).get(10)
        yield broker


@pytest.fixture
def grant(guarded: KafkaBroker, tmp_path: Path) -> Callable[..., None]:
    """grant(user, section) runs the section's commands with Kafka's own tool, exactly as on the page."""
    tool = tmp_path / "kafka-acls.sh"
    java = " ".join(f"'{part}'" for part in java_command())
    tool.write_text(f'#!/bin/sh\nexec {java} -XX:TieredStopAtLevel=1 org.apache.kafka.tools.AclCommand "$@"\n')
    tool.chmod(0o755)
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="secret1";'
    (tmp_path / "admin.properties").write_text(
        f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config={login}\n"
    )

    def run(user: str, section: str) -> None:
        commands = re.findall(r"^\$ACLS .*$", SECTIONS[section], re.MULTILINE)
        assert commands
        script = "\n".join(["set -e", SHARED.replace("\\\n", ""), *commands])
        script = script.replace("localhost:9092", guarded.bootstrap).replace("User:labelstream", f"User:{user}")
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(["bash", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True)

    return run


@pytest.fixture
def labelstream(guarded: KafkaBroker, tmp_path: Path) -> Callable[..., Any]:
    """labelstream(user, "lag", ...) runs the command as the user."""
    (tmp_path / "password").write_text("secret2\n")

    def run(user: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        login = {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": user}
        security = {**login, "password_file": str(tmp_path / "password")}
        topics = {"input": TOPICS.input, "output": TOPICS.output, "dead_letter": TOPICS.dead_letter}
        tree = {
            "kafka": {"bootstrap_servers": guarded.bootstrap, "security": security},
            "models": {"m": {"source": "/none"}},
            "pipelines": {"feedback": {"model": "m", **topics}},
        }
        (tmp_path / "labelstream.yaml").write_text(yaml.safe_dump(tree))
        return call(*arguments, "-c", str(tmp_path / "labelstream.yaml"), stdin=b"a text\n")

    return run


@pytest.mark.parametrize(("user", "delivery"), [("worker", "at_least_once"), ("once", "exactly_once")])
def test_worker_runs_with_the_rights_of_the_page(
    guarded: KafkaBroker,
    grant: Callable[..., None],
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    delivery: str,
) -> None:
    grant(user, "of a worker")
    if delivery == "exactly_once":
        grant(user, "for exactly once")
    monkeypatch.setenv("LABELSTREAM_KAFKA__SECURITY__PASSWORD", "secret2")
    security = {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": user}
    worker = start_worker(
        TOPICS,
        FakeClassifier(),
        bootstrap=guarded.bootstrap,
        kafka={"security": security},
        group_id=GROUP,
        delivery=delivery,
    )
    wait_until(lambda: worker.stats()["state"] == "running", 30, "the start")
    with closing(KafkaProducer(**guarded.client_config("admin"))) as producer:
        producer.send(TOPICS.input, b'{"text": "good"}').get(10)
    wait_until(lambda: worker.stats()["results_out"] > 0, 30, "a result")
    assert worker.stop(20)


def test_topics_are_created_with_the_rights_of_the_page(
    guarded: KafkaBroker, grant: Callable[..., None], labelstream: Callable[..., Any]
) -> None:
    with guarded.admin() as admin:
        admin.delete_topics([LEDGER])
    refused = labelstream("create", "topics", "create", "--yes")
    assert b"no permission to create topic feedback.raw" in refused.stderr
    grant("create", "to create topics")
    created = labelstream("create", "topics", "create", "--yes")
    assert created.returncode == 0, created.stderr
    assert b"Created 1 topic." in created.stdout


@pytest.mark.long
@pytest.mark.parametrize("section", COMMANDS)
def test_commands_work_with_the_rights_of_the_page(
    grant: Callable[..., None], labelstream: Callable[..., Any], section: str
) -> None:
    user = f"user{list(COMMANDS).index(section)}"
    assert [labelstream(user, *command).returncode for command in COMMANDS[section]] == [1] * len(COMMANDS[section])
    grant(user, section)
    for command in COMMANDS[section]:
        ended = labelstream(user, *command)
        assert ended.returncode == 0, (command, ended.stderr)
        assert b"no permission" not in ended.stdout + ended.stderr


@pytest.mark.long
def test_dead_letter_is_redriven_with_the_rights_of_the_page(
    grant: Callable[..., None], labelstream: Callable[..., Any]
) -> None:
    grant("redrive", "to read dead letters")
    assert labelstream("redrive", "dlq", "redrive", "--yes").returncode == 1
    grant("redrive", "to redrive")
    ended = labelstream("redrive", "dlq", "redrive", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert re.search(rb"^[1-9]\d* dead letters? sent to feedback.raw", ended.stderr, re.MULTILINE)
