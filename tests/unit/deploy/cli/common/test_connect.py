"""How commands reach Kafka: options, and topics on an in-memory broker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kafka
import pytest

from labelstream.deploy.cli.common import connect as module
from labelstream.deploy.cli.common.connect import (
    DEFAULT_BOOTSTRAP,
    Broker,
    connect,
    kafka_settings,
    made_topics,
    poll,
    reader,
    require_topic,
)
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from labelstream.workers.errors import ConfigError, StartError
from tests.support.fake_admin import FakeAdmin
from tests.unit.deploy.cli.conftest import Run, fails


def test_missing_config_option_suggests_file_in_directory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(run("check"), 2, "--config: is missing; add -c FILE")
    (tmp_path / "labelstream.yaml").touch()
    for command in (["run"], ["dlq", "list"]):
        fails(run(*command), 2, "--config: is missing; add -c labelstream.yaml, which is in this directory")


def test_bootstrap_is_a_broker_without_tls_and_login() -> None:
    assert kafka_settings(None, None).bootstrap_servers == DEFAULT_BOOTSTRAP
    settings = kafka_settings("a:1", None)
    assert (settings.bootstrap_servers, settings.security.protocol) == ("a:1", "PLAINTEXT")
    with pytest.raises(ConfigError, match="--bootstrap: 'here' is not HOST:PORT"):
        kafka_settings("here", None)


def test_unreachable_default_address_is_named_as_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEFAULT_BOOTSTRAP", "127.0.0.1:9")
    with pytest.raises(StartError, match=r"\(127\.0\.0\.1:9 is the default; -c or --bootstrap names another\)$"):
        connect(kafka_settings(None, None), named=False)
    for asked, named in ((kafka_settings("127.0.0.1:9", None), True), (kafka_settings("127.0.0.1:10", None), False)):
        with pytest.raises(StartError) as raised:
            connect(asked, named)
        assert "is the default" not in str(raised.value)


def test_environment_names_brokers_and_login_under_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS", "b:2")
    monkeypatch.setenv("LABELSTREAM_KAFKA__SECURITY__PROTOCOL", "SSL")
    monkeypatch.setenv("LABELSTREAM_KAFKA__REQUEST_TIMEOUT_MS", "9000")
    settings = kafka_settings(None, None)
    assert (settings.bootstrap_servers, settings.security.protocol) == ("b:2", "SSL")
    assert (settings.request_timeout_ms, settings.delivery_timeout_ms) == (9_000, 30_000)
    settings = kafka_settings("a:1", None)
    assert (settings.bootstrap_servers, settings.security.protocol) == ("a:1", "SSL")


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS", "here", "kafka.bootstrap_servers: "),
        ("LABELSTREAM_KAFKA__SECURITY__PASSWORD", "hush", "kafka.security: SASL settings have no effect"),
        ("LABELSTREAM_KAFKA", "[", "kafka: "),
        ("LABELSTREAM_KAKFA__BOOTSTRAP_SERVERS", "b:2", "LABELSTREAM_KAKFA__BOOTSTRAP_SERVERS: unknown setting"),
    ],
)
def test_environment_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, key: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as raised:
        kafka_settings(None, None)
    assert str(raised.value).startswith(key)
    assert "hush" not in str(raised.value)


def test_config_names_the_brokers_alone(write_config: Callable[..., str]) -> None:
    config = Path(write_config(bootstrap="b:2"))
    assert kafka_settings(None, config).bootstrap_servers == "b:2"
    with pytest.raises(ConfigError, match="give one of the two"):
        kafka_settings("a:1", config)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    running = InMemoryBroker()
    yield connect(kafka_settings(running.bootstrap, None))
    running.close()


def test_in_memory_broker_has_every_topic(broker: Broker) -> None:
    require_topic(broker, "any", "WRITE")
    with made_topics(broker, ["one", "two"], ["a-group"]):
        pass


def test_reader_reads_what_was_sent_and_joins_no_group(broker: Broker) -> None:
    producer = kafka.KafkaProducer(**broker.config)
    producer.send("sent", b"a value").get(10)
    producer.close()
    with reader(broker, ["sent"], from_beginning=True) as consumer:
        assert consumer.config["group_id"] is None
        found: list[Any] = []
        while not found:
            found = poll(broker, consumer)
    assert [record.value for record in found] == [b"a value"]


@pytest.mark.parametrize(
    ("topics", "allowed", "known", "said"),
    [
        ({}, None, [], "topic t does not exist; create it"),
        ({}, None, ["t"], "topic t does not exist; create it"),
        ({}, None, ["t1", "out"], r"topic t does not exist; did you mean t1\?"),
        ({}, None, ["in", "out"], "topic t does not exist; the config has in, out"),
        ({"t": {}}, {"t": ["WRITE"]}, ["t1"], "no permission to read topic t; grant READ on it"),
        ({"t": {}}, None, ["t1"], None),
    ],
)
def test_topic_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, topics: Any, allowed: Any, known: list[str], said: str | None
) -> None:
    @contextmanager
    def closing(admin: Any) -> Iterator[Any]:
        yield FakeAdmin(topics, allowed=allowed)

    monkeypatch.setattr(kafka, "KafkaAdminClient", dict)
    monkeypatch.setattr(module, "closing", closing)
    real = Broker(kafka_settings("a:1", None), {"bootstrap_servers": ["a:1"]})
    if said is None:
        require_topic(real, "t", "READ", known)
    else:
        with pytest.raises(StartError, match=said):
            require_topic(real, "t", "READ", known)
