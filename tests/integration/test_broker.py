"""The test broker itself: features that the other integration tests rely on."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, TopicAuthorizationFailedError
from kafka.structs import TopicPartition

from tests.kafka import Broker, BrokerError, KafkaBroker
from tests.kafka.broker import free_port
from tests.kafka.install import KafkaMissing

ROOT = Path(__file__).parents[2]


def send(config: dict[str, Any], topic: str, *values: bytes) -> None:
    """Send values in one batch and raise the first error."""
    producer = KafkaProducer(**config)
    try:
        for future in [producer.send(topic, value) for value in values]:
            future.get(timeout=10)
    finally:
        producer.close()


def read(config: dict[str, Any], topic: str, count: int) -> list[bytes]:
    """The first `count` values of partition 0, or those that arrive within 10 s."""
    consumer = KafkaConsumer(**config, enable_auto_commit=False, auto_offset_reset="earliest")
    values: list[bytes] = []
    try:
        consumer.assign([TopicPartition(topic, 0)])
        deadline = time.monotonic() + 10
        while len(values) < count and time.monotonic() < deadline:
            values += [record.value for records in consumer.poll(200).values() for record in records]
    finally:
        consumer.close()
    return values


def processes_of(folder: Path | None) -> list[str]:
    """Command lines of the broker with data folder `folder`, and of its guard."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # the process has ended meanwhile
        if f"kafka.Kafka {folder}/" in line:
            found.append(line)
    return found


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Did the condition become true in time?"""
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_kafka_python_round_trip(kafka: Broker, topic: str) -> None:
    send(kafka.client_config(), topic, b"one", b"two")
    assert read(kafka.client_config(), topic, 2) == [b"one", b"two"]


def test_librdkafka_round_trip(kafka: Broker, topic: str) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, b"one")
    assert producer.flush(10) == 0
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe([topic])
        message = consumer.poll(10)
        assert message is not None
        assert message.value() == b"one"
    finally:
        consumer.close()


def test_topic_has_given_partitions_and_settings(kafka: Broker, make_topic: Callable[..., str]) -> None:
    topic = make_topic(3, {"max.message.bytes": "2000"})
    with kafka.admin() as admin:
        assert len(admin.describe_topics([topic])[0]["partitions"]) == 3
    with pytest.raises(MessageSizeTooLargeError):
        send(kafka.client_config(), topic, os.urandom(5000))


@pytest.mark.long
def test_data_survive_crash_until_close() -> None:
    with KafkaBroker() as broker:
        folder = broker.folder
        assert folder is not None
        assert len(processes_of(folder)) == 2, "the broker and its guard must be visible here"
        broker.create_topic("kept")
        send(broker.client_config(acks="all"), "kept", b"before")
        broker.kill()
        assert processes_of(folder) == []
        starter = threading.Thread(target=broker.start)  # the broker must outlive the thread that started it
        starter.start()
        starter.join()
        send(broker.client_config(), "kept", b"after")
        assert read(broker.client_config(), "kept", 2) == [b"before", b"after"]
    assert processes_of(folder) == []
    assert not folder.exists()


@pytest.fixture(scope="module")
def guarded() -> Iterator[KafkaBroker]:
    """A broker with users and ACLs."""
    with KafkaBroker(users={"admin": "secret1", "writer": "secret2"}, super_users=["admin"]) as broker:
        yield broker


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_user_has_only_granted_rights(guarded: KafkaBroker, mechanism: str) -> None:
    granted, other = f"granted-{mechanism}", f"other-{mechanism}"
    for name in (granted, other):
        guarded.create_topic(name)
    guarded.allow("writer", "write", topic=granted)
    writer = guarded.client_config("writer", sasl_mechanism=mechanism)

    send(writer, granted, b"one")
    with pytest.raises(TopicAuthorizationFailedError):
        send(writer, other, b"one")
    with pytest.raises(TopicAuthorizationFailedError):
        read(writer, granted, 1)
    assert read(guarded.client_config(), granted, 1) == [b"one"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_wrong_password_is_refused(guarded: KafkaBroker, mechanism: str) -> None:
    # Uses librdkafka: kafka-python times out, because it drops the refusal when the connection closes.
    errors: list[confluent_kafka.KafkaError] = []
    config: dict[str, Any] = {
        "bootstrap.servers": guarded.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": "writer",
        "sasl.password": "wrong",
        "error_cb": errors.append,
        "log_level": 0,
    }
    client = AdminClient(config)
    assert until(lambda: client.poll(0.1) >= 0 and bool(errors))
    assert errors[0].code() == confluent_kafka.KafkaError._AUTHENTICATION
    with pytest.raises(KafkaTimeoutError):
        KafkaProducer(
            **guarded.client_config(
                "writer", sasl_mechanism=mechanism, sasl_plain_password="wrong", bootstrap_timeout_ms=1000
            )
        )


def test_taken_port_and_bad_setting_are_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"^port {port} is taken$"):
            KafkaBroker(port=port).start()
    with pytest.raises(BrokerError, match=r"num\.io\.threads"):
        KafkaBroker(server_properties={"num.io.threads": "many"}).start()


def test_missing_java_names_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KafkaMissing, match="apt-get install openjdk-17-jre-headless"):
        KafkaBroker().start()


@pytest.mark.long
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_interrupted_command_ends_broker(tmp_path: Path, number: signal.Signals, status: int) -> None:
    command = [sys.executable, "-m", "tests.kafka", "--port", str(free_port())]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    # A shell makes background processes ignore SIGINT, including these tests and their child processes.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=heed
    ) as process:
        try:
            assert process.stdout is not None
            assert "Kafka is ready at 127.0.0.1:" in process.stdout.readline()
            (folder,) = tmp_path.glob("labelstream-kafka-*")
            assert processes_of(folder)
            process.send_signal(number)
            assert process.wait(20) == status
        finally:
            process.kill()
    assert until(lambda: processes_of(folder) == [])
    assert not folder.exists()


@pytest.mark.long
def test_data_folder_survives_close(tmp_path: Path) -> None:
    with KafkaBroker(data=tmp_path) as broker:
        broker.create_topic("kept")
        send(broker.client_config(), "kept", b"one")
    with KafkaBroker(data=tmp_path) as broker:  # on another port than before
        assert read(broker.client_config(), "kept", 1) == [b"one"]
