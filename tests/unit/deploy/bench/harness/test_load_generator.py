"""Messages are sent and come back once, and librdkafka gets its settings with secrets."""

import json
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from labelstream.deploy.bench.harness import load_generator
from labelstream.deploy.bench.harness.load_generator import librdkafka_config, traffic
from labelstream.deploy.bench.harness.topics import plain
from labelstream.deploy.names import Topics
from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings

KAFKA = KafkaSettings(bootstrap_servers="h:1")


def test_secrets_are_given_to_librdkafka_alone(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hidden\n")
    security: Any = {
        "protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "username": "u",
        "ca_file": "/ca",
        "password_file": str(tmp_path / "password"),
    }
    kafka = KafkaSettings(bootstrap_servers="h:1", security=security)
    config = librdkafka_config(kafka)
    assert config["sasl.password"] == "hidden"
    assert (config["security.protocol"], config["ssl.ca.location"]) == ("SASL_SSL", "/ca")
    assert "ssl.key.location" not in config
    assert "hidden" not in json.dumps(plain(kafka))
    assert librdkafka_config(KAFKA) == {"bootstrap.servers": "h:1", "security.protocol": "PLAINTEXT", "log_level": 2}


class Message:
    def __init__(self, topic: str, value: bytes) -> None:
        self._topic, self._value = topic, value

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self._topic

    def value(self) -> bytes:
        return self._value


class Brokers:
    """Returns what is produced to `in` at once: as a result, twice if the text says so, or not at all."""

    def __init__(self) -> None:
        self.back: Queue[Message] = Queue()

    def produce(self, topic: str, value: bytes, key: bytes) -> None:
        assert topic == "in"
        text = json.loads(value)["text"]
        if text != "lost":
            self.back.put(Message("dead" if text == "bad" else "out", value))
        if text == "twice":
            self.back.put(Message("out", value))

    def poll(self, timeout_s: float) -> Message | None:
        try:
            return self.back.get(timeout=0.01) if timeout_s else None
        except Empty:
            return None

    def consume(self, count: int, timeout: float) -> list[Message]:
        return [self.back.get() for _ in range(min(count, self.back.qsize()))]

    def flush(self, timeout_s: float) -> int:
        return 0

    def close(self) -> None: ...


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    made = Brokers()
    monkeypatch.setattr(load_generator, "Producer", lambda config: made)
    monkeypatch.setattr(load_generator, "_reader", lambda config, topics, in_memory: made)
    return made


@pytest.mark.parametrize("paced", [True, False])
def test_stream_ends_when_every_message_came_back(brokers: Brokers, paced: bool) -> None:
    with traffic(KAFKA, Topics("in", "out", "dead"), paced) as load:
        assert load.stream(["good", "bad", "twice"] * 200) >= 0
        assert load.dead_letters == 200
        assert load.one("good") >= 0


def test_stream_reports_missing_messages(brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_generator, "STALL_S", 0.05)
    with (
        traffic(KAFKA, Topics("in", "out", "dead"), False) as load,
        pytest.raises(StartError, match=r"no result for 0\.05 s, 2 of 3 came back"),
    ):
        load.stream(["good", "lost", "twice"])
