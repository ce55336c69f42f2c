"""What clients are told, and kafka-python's errors with their causes."""

import logging
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import GroupAuthorizationFailedError, KafkaTimeoutError

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker import connection
from labelstream.workers.stream.broker.connection import (
    client_config,
    connected_config,
    is_in_memory,
    never_log_messages,
    translate_kafka_errors,
)
from labelstream.workers.stream.broker.probe import Cluster, Unreachable
from tests.support.fake_broker import FakeBroker

DOWN = KafkaSettings(bootstrap_servers="127.0.0.1:9")


def test_no_secret_stands_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush")
    security: dict[str, Any] = {
        "protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "username": "ann",
        "password_file": tmp_path / "password",
    }
    config = client_config(KafkaSettings.model_validate({"bootstrap_servers": "a:1,b:2", "security": security}))
    assert config["bootstrap_servers"] == ["a:1", "b:2"]
    assert config["sasl_plain_password"].read() == "hush"
    assert "hush" not in str(config)
    assert "ssl_context" not in client_config(DOWN)


def test_broker_that_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Unreachable("down"), Unreachable("down"), Cluster("mockCluster1", [])])

    def reach(_: KafkaSettings) -> Cluster:
        answer = next(answers)
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    monkeypatch.setattr(connection, "reach", reach)
    monkeypatch.setattr(connection, "AGAIN_S", 0.0)
    assert is_in_memory(connected_config(DOWN))


def test_broker_that_stays_away_is_a_start_error() -> None:
    with pytest.raises(StartError, match=r"^kafka\.bootstrap_servers: no broker answers at 127\.0\.0\.1:9") as failed:
        connected_config(DOWN, patience_s=0)
    assert type(failed.value) is StartError, "which is known by its name where it comes as text"


def test_what_is_not_as_it_should_be_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with FakeBroker() as broker:
        connected_config(KafkaSettings(bootstrap_servers=f"127.0.0.1:9,{broker.bootstrap}"))
    [record] = caplog.records
    assert (record.levelno, "no broker answers at 127.0.0.1:9" in record.message) == (logging.WARNING, True)


def test_kafka_errors_come_with_their_cause() -> None:
    with pytest.raises(StartError, match="no broker answers at"), translate_kafka_errors(DOWN):
        raise KafkaTimeoutError("Unable to bootstrap")
    with FakeBroker() as broker:
        healthy = KafkaSettings(bootstrap_servers=broker.bootstrap)
        with pytest.raises(StartError, match="KafkaTimeoutError: Timed out"), translate_kafka_errors(healthy):
            raise KafkaTimeoutError("Timed out")
    with pytest.raises(StartError, match=r"permission denied .*no user is set"), translate_kafka_errors(DOWN):
        raise GroupAuthorizationFailedError("g")
    with pytest.raises(StartError, match="kafka: OSError: disk"), translate_kafka_errors(DOWN):
        raise OSError("disk")


def test_kafka_never_logs_what_messages_hold() -> None:
    logger = logging.getLogger("kafka")
    before = logger.level
    try:
        logger.setLevel(logging.DEBUG)
        never_log_messages()
        assert logger.getEffectiveLevel() == logging.INFO
    finally:
        logger.setLevel(before)
