"""Reaching brokers step by step: what fails has its cause, at once."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.finding import Finding
from labelstream.workers.stream.broker.probe import Cluster, Unreachable, reach
from tests.support.certificates import Authority
from tests.support.fake_broker import FakeBroker

NOBODY = ("127.0.0.1", 9)  # discard's port


@pytest.fixture
def kafka(tmp_path: Path) -> Callable[..., KafkaSettings]:
    """kafka(bootstrap, **security), with a password in a file where there is a login."""

    def make(bootstrap: str, password: str = "right", **security: Any) -> KafkaSettings:
        if "sasl_mechanism" in security:
            (tmp_path / "password").write_text(f"{password}\n")
            security |= {"username": "ann", "password_file": tmp_path / "password"}
        return KafkaSettings.model_validate({"bootstrap_servers": bootstrap, "security": security})

    return make


SCRAM = {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512"}
PLAIN = {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
Kafka = Callable[..., KafkaSettings]


def cause(kafka: KafkaSettings) -> str:
    with pytest.raises(StartError) as failed:
        reach(kafka)
    return str(failed.value)


def test_broker_that_answers_tells_its_cluster(kafka: Kafka) -> None:
    with FakeBroker() as broker:
        assert reach(kafka(broker.bootstrap)) == Cluster("a-cluster", [])


def test_one_bootstrap_server_is_enough(kafka: Kafka) -> None:
    with FakeBroker() as broker:
        [finding] = reach(kafka(f"127.0.0.1:9,{broker.bootstrap}")).findings
    assert finding.level == logging.WARNING
    assert str(finding).startswith("kafka.bootstrap_servers: no broker answers at 127.0.0.1:9 (Connection refused)")


@pytest.mark.parametrize(
    ("bootstrap", "said"),
    [
        ("127.0.0.1:9", "no broker answers at 127.0.0.1:9 (Connection refused); is it running?"),
        ("nowhere.invalid:9092", "the name nowhere.invalid does not resolve ("),
        ("[::1]:9", "no broker answers at [::1]:9 ("),
    ],
)
def test_address_without_a_broker_may_have_one_later(kafka: Kafka, bootstrap: str, said: str) -> None:
    with pytest.raises(Unreachable) as failed:
        reach(kafka(bootstrap))
    assert str(failed.value).startswith(f"kafka.bootstrap_servers: {said}")


def test_listener_that_is_no_kafka_is_named(kafka: Kafka) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.listen()
        port = listener.getsockname()[1]

        def answer() -> None:
            for _ in range(2):  # what is asked, and whether it is TLS
                sock, _ = listener.accept()
                with sock:
                    sock.recv(100)
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        said = cause(kafka(f"127.0.0.1:{port}"))
    assert said.startswith(f"kafka.bootstrap_servers: the listener at 127.0.0.1:{port} does not answer as Kafka over")


def test_advertised_name_that_does_not_resolve_is_named(kafka: Kafka) -> None:
    with FakeBroker(advertised=[("kafka.invalid", 9092)]) as broker:
        said = cause(kafka(broker.bootstrap))
    assert said.startswith(
        f"kafka.bootstrap_servers: broker 1 advertises kafka.invalid:9092 on the listener at {broker.bootstrap}, "
        "which is unreachable from here: the name kafka.invalid does not resolve ("
    )
    assert said.endswith("set the broker's advertised.listeners to an address that its clients reach")


def test_one_of_the_advertised_brokers_is_enough(kafka: Kafka) -> None:
    with FakeBroker() as other, FakeBroker(advertised=[NOBODY, ("127.0.0.1", other.port)]) as broker:
        [finding] = reach(kafka(broker.bootstrap)).findings
    assert finding.is_problem
    assert f"broker 1 advertises 127.0.0.1:9 on the listener at {broker.bootstrap}" in finding.text
    assert "no broker answers at 127.0.0.1:9 (Connection refused)" in finding.text


@pytest.fixture
def server_context(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """Of a TLS server on loopback, and its authority's file."""
    authority = Authority(tmp_path)
    own = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)
    return context, authority.file


def test_tls_is_tried_and_its_problem_named(kafka: Kafka, server_context: tuple[ssl.SSLContext, Path]) -> None:
    context, ca_file = server_context
    with FakeBroker(context) as broker:
        assert reach(kafka(broker.bootstrap, protocol="SSL", ca_file=ca_file)).id == "a-cluster"
        assert cause(kafka(broker.bootstrap, protocol="SSL")).startswith("kafka.security.ca_file: the certificate of")
        said = cause(kafka(broker.bootstrap))
    assert said.startswith(
        f"kafka.security.protocol: the listener at {broker.bootstrap} speaks TLS; set protocol to SSL"
    )


def test_tls_where_there_is_none_is_named(kafka: Kafka) -> None:
    with FakeBroker() as broker:
        said = cause(kafka(broker.bootstrap, protocol="SSL"))
    assert said == (
        f"kafka.security.protocol: the broker at {broker.bootstrap} speaks no TLS; set protocol to PLAINTEXT, or to "
        "SASL_PLAINTEXT if the broker asks for a login"
    )


def test_mechanism_that_is_not_offered_is_named_with_the_others(kafka: Kafka) -> None:
    with FakeBroker(mechanisms=("SCRAM-SHA-256", "PLAIN")) as broker:
        said = cause(kafka(broker.bootstrap, **SCRAM))
    assert said == (
        f"kafka.security.sasl_mechanism: the broker at {broker.bootstrap} does not offer SCRAM-SHA-512; it offers "
        "PLAIN, SCRAM-SHA-256"
    )


def test_wrong_password_is_a_refused_login(kafka: Kafka) -> None:
    with FakeBroker(mechanisms=("PLAIN",)) as broker:
        said = cause(kafka(broker.bootstrap, "mistaken", **PLAIN))
        assert said.startswith(
            f"kafka.security: the broker at {broker.bootstrap} refuses the login of ann by PLAIN (Invalid); check"
        )
        assert "mistaken" not in said
        found = reach(kafka(broker.bootstrap, **PLAIN)).findings
    text = "SASL PLAIN without TLS sends the password in the clear; set SASL_SSL, or a SCRAM mechanism"
    assert found == [Finding("kafka.security.protocol", text, logging.WARNING)]


def test_login_where_none_is_asked_for_is_named(kafka: Kafka) -> None:
    with FakeBroker() as broker:
        said = cause(kafka(broker.bootstrap, **PLAIN))
    assert said.endswith(f"the broker at {broker.bootstrap} asks for no login; set protocol to PLAINTEXT")


def test_missing_login_is_named(kafka: Kafka) -> None:
    with FakeBroker(mechanisms=("PLAIN",)) as broker:
        said = cause(kafka(broker.bootstrap))
    assert said.startswith(
        f"kafka.security.protocol: the broker at {broker.bootstrap} closes connections without a login"
    )
    assert "set protocol to SASL_PLAINTEXT, with sasl_mechanism" in said
