"""Bare kafka-python on an in-memory broker."""

import json
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.bench.baselines import bare_kafka
from labelstream.deploy.cli.common.connect import kafka_settings
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from labelstream.deploy.names import Topics
from labelstream.workers.stream.broker.connection import connected_config
from labelstream.workers.stream.broker.topics import make_in_memory
from tests.support.streams import messages, produce, read_all


@pytest.fixture(scope="module")
def broker() -> Iterator[InMemoryBroker]:
    broker = InMemoryBroker()
    yield broker
    broker.close()


def test_every_record_is_sent_on_with_its_key(broker: InMemoryBroker) -> None:
    make_in_memory(connected_config(kafka_settings(broker.bootstrap, None)), ["in", "out"])
    produce(broker.bootstrap, "in", messages(20))
    kafka = json.dumps({"bootstrap_servers": broker.bootstrap})
    spent = bare_kafka.main(kafka, "in", "out", "dead", "group", 20, 77)
    assert spent >= 0
    found = read_all(broker.bootstrap, "out", lambda records: len(records) >= 20)
    assert {len(record.value()) for record in found} == {77}
    assert {record.key() for record in found} == {key for key, _ in messages(20)}


def test_other_process_gets_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def run(command: list[str], **options: Any) -> Any:
        called.append(command)
        return SimpleNamespace(returncode=0, stdout="0.25\n", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    kafka = kafka_settings("host:1", None)
    assert bare_kafka.bare_cpu_s(kafka, Topics("in", "out", "dead"), "group", 5, 77) == 0.25
    [command] = called
    assert command[1:3] == ["-m", "labelstream.deploy.bench.baselines.bare_kafka"]
    assert json.loads(command[3])["bootstrap_servers"] == "host:1"
    assert command[4:] == ["in", "out", "dead", "group", "5", "77"]


def test_failure_of_other_process_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = SimpleNamespace(returncode=1, stdout="", stderr="Traceback\nNoBrokersAvailable")
    monkeypatch.setattr(subprocess, "run", lambda command, **options: ended)
    with pytest.raises(RuntimeError, match="NoBrokersAvailable"):
        bare_kafka.bare_cpu_s(kafka_settings("host:1", None), Topics("in", "out", "dead"), "group", 5, 77)
