"""TLS, logins and advertised addresses of a real broker: each failure names its cause within seconds."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion  # pyright: ignore[reportAttributeAccessIssue]

from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.connection import connected_config
from labelstream.workers.stream.producer.kafka_producer.client import make_producer
from tests.integration.conftest import StartWorker
from tests.kafka import KafkaBroker
from tests.kafka.broker import free_port
from tests.support.certificates import Authority, Issued
from tests.support.streams import Topics, messages, produce, read_ids, wait_until

PLAIN_JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="secret";'
SCRAM_JAAS = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
# Protocol and advertised host of each listener.
LISTENERS = {
    "TLS": ("SSL", "127.0.0.1"),
    "MUTUAL": ("SSL", "127.0.0.1"),
    "OTHERNAME": ("SSL", "127.0.0.1"),
    "EXPIRED": ("SSL", "127.0.0.1"),
    "EARLY": ("SSL", "127.0.0.1"),
    "SELFSIGNED": ("SASL_SSL", "127.0.0.1"),
    "LOGIN": ("SASL_PLAINTEXT", "127.0.0.1"),
    "TLSLOGIN": ("SASL_SSL", "127.0.0.1"),
    "LOST": ("PLAINTEXT", "kafka.invalid"),
}


class Secured(NamedTuple):
    broker: KafkaBroker
    at: dict[str, str]
    folder: Path
    client: Issued


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder)
    Authority(folder, "stranger")
    certificates = {
        "OTHERNAME": authority.issue("othername", ("other.example",)),
        "EXPIRED": authority.issue("expired", starts_in_days=-5, ends_in_days=-1),
        "EARLY": authority.issue("early", starts_in_days=5),
        "SELFSIGNED": authority.issue("selfsigned", self_signed=True),
    }
    server, client = authority.issue("server"), authority.issue("client")
    (folder / "password").write_text("secret\n")
    broker = KafkaBroker()
    ports = {name: free_port() for name in LISTENERS}
    own = {"CLIENT": f"127.0.0.1:{broker.port}"}
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    advertised = {name: f"{host}:{ports[name]}" for name, (_, host) in LISTENERS.items()}
    protocols = {"CLIENT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | {
        name: protocol for name, (protocol, _) in LISTENERS.items()
    }
    properties = {
        "listeners": _listed(own | {"CONTROLLER": f"127.0.0.1:{broker.controller_port}"} | at, "://"),
        "advertised.listeners": _listed(own | advertised, "://"),
        "listener.security.protocol.map": _listed(protocols, ":"),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
    }
    for name, (protocol, _) in LISTENERS.items():
        prefix = f"listener.name.{name.lower()}."
        if "SASL" in protocol:
            properties |= {f"{prefix}plain.sasl.jaas.config": PLAIN_JAAS}
            properties |= {f"{prefix}scram-sha-256.sasl.jaas.config": SCRAM_JAAS}
        if "SSL" in protocol:
            properties |= {f"{prefix}ssl.keystore.type": "PEM"}
            properties |= {f"{prefix}ssl.keystore.location": str(certificates.get(name, server).both)}
    mutual = "listener.name.mutual.ssl."
    properties |= {f"{mutual}client.auth": "required", f"{mutual}truststore.type": "PEM"}
    properties |= {f"{mutual}truststore.location": str(authority.file)}
    properties |= {"listener.name.login.connections.max.reauth.ms": "3000"}
    broker.override(properties)
    with broker:
        yield Secured(broker, at, folder, client)


def _listed(pairs: dict[str, str], joint: str) -> str:
    return ",".join(f"{name}{joint}{value}" for name, value in pairs.items())


def kafka(secured: Secured, listener: str, **security: Any) -> KafkaSettings:
    """Kafka settings with the listener's protocol unless given; files are named without their folder."""
    files = {key: secured.folder / value for key, value in security.items() if key.endswith("_file")}
    security = {"protocol": LISTENERS[listener][0]} | security | files
    return KafkaSettings.model_validate({"bootstrap_servers": secured.at[listener], "security": security})


CA = {"ca_file": "ca.pem"}
LOGIN = {"sasl_mechanism": "PLAIN", "username": "ann", "password_file": "password"}
CAUSES: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown ca": ("TLS", {"ca_file": "stranger.pem"}, r"^kafka\.security\.ca_file: .* is of a CA that is not among"),
    "no ca": ("TLSLOGIN", LOGIN, r"^kafka\.security\.ca_file: .* is of a CA that is not among the CAs of this system"),
    "self-signed": ("SELFSIGNED", CA | LOGIN, r"^kafka\.security\.ca_file: .* is self-signed"),
    "other name": ("OTHERNAME", CA, r"^kafka\.bootstrap_servers: the certificate .* is for another name"),
    "expired": ("EXPIRED", CA, r"^kafka\.security\.ca_file: the certificate .* has expired"),
    "not yet valid": ("EARLY", CA, r"^kafka\.security\.ca_file: the certificate .* is not yet valid"),
    "no client certificate": ("MUTUAL", CA, r"^kafka\.security\.cert_file: .* requires a client certificate"),
    "wrong password": ("TLSLOGIN", CA | LOGIN | {"password_file": "ca.pem"}, "refuses the login of ann by PLAIN"),
    "wrong mechanism": (
        "TLSLOGIN",
        CA | LOGIN | {"sasl_mechanism": "SCRAM-SHA-512"},
        r"^kafka\.security\.sasl_mechanism: .* does not offer SCRAM-SHA-512; it offers PLAIN, SCRAM-SHA-256",
    ),
    "no login": ("LOGIN", {"protocol": "PLAINTEXT"}, "closes connections without a login"),
    "login for nothing": ("TLS", CA | LOGIN | {"protocol": "SASL_SSL"}, "asks for no login; set protocol to SSL"),
    "plaintext to tls": ("TLS", {"protocol": "PLAINTEXT"}, r"speaks TLS; set protocol to SSL"),
    "tls to plaintext": ("LOGIN", CA | {"protocol": "SSL"}, r"speaks no TLS"),
    "advertised name": (
        "LOST",
        {},
        r"broker 1 advertises kafka\.invalid:\d+ .*the name kafka\.invalid does not resolve",
    ),
}


@pytest.mark.parametrize(("listener", "security", "said"), CAUSES.values(), ids=CAUSES)
def test_failed_connection_names_cause(secured: Secured, listener: str, security: dict[str, Any], said: str) -> None:
    with pytest.raises((StartError, ConfigError), match=said):
        connected_config(kafka(secured, listener, **security), patience_s=0)


def test_refused_client_certificate_is_named(secured: Secured) -> None:
    stranger = Authority(secured.folder, "unknown").issue("intruder")
    files = CA | {"cert_file": stranger.cert.name, "key_file": stranger.key.name}
    with pytest.raises(StartError, match=r"^kafka\.security\.cert_file: .* refuses the certificate in .*intruder\.pem"):
        connected_config(kafka(secured, "MUTUAL", **files), patience_s=0)


@pytest.mark.parametrize(
    ("listener", "security"),
    [
        ("MUTUAL", CA | {"cert_file": "client.pem", "key_file": "client.key"}),
        ("TLSLOGIN", CA | LOGIN),
        ("LOGIN", LOGIN),
    ],
)
def test_correct_security_settings_connect(secured: Secured, listener: str, security: dict[str, Any]) -> None:
    settings = kafka(secured, listener, **security)
    topic = f"right-{listener.lower()}"
    secured.broker.create_topic(topic)
    with closing(make_producer(connected_config(settings), settings, [1_000_000])) as producer:
        assert producer.partitions_for(topic) == {0}


@pytest.fixture
def set_password(secured: Secured) -> Callable[[str], None]:
    def change(password: str) -> None:
        with secured.broker.admin() as admin:
            upsert = UserScramCredentialUpsertion("bob", ScramMechanism.SCRAM_SHA_256, password)
            admin.alter_user_scram_credentials([upsert])

    return change


@pytest.mark.long
@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_changed_password_is_read_again(
    secured: Secured, start_worker: StartWorker, set_password: Callable[[str], None], delivery: str
) -> None:
    topics = Topics(*(f"{delivery}-{name}" for name in ("in", "out", "dlq")))
    for topic in (topics.input, topics.output, topics.dead_letter):
        secured.broker.create_topic(topic)
    set_password("first")
    file = secured.folder / f"password-{delivery}"
    file.write_text("first\n")
    login = {"sasl_mechanism": "SCRAM-SHA-256", "username": "bob", "password_file": file.name}
    security = kafka(secured, "LOGIN", **login).security.model_dump(mode="json", exclude_none=True)
    worker = start_worker(
        topics, bootstrap=secured.at["LOGIN"], kafka={"security": security}, delivery=delivery, group_id=topics.input
    )
    produce(secured.broker.bootstrap, topics.input, messages(20))
    assert sorted(read_ids(secured.broker.bootstrap, topics.output, 20)) == list(range(20))
    set_password("second")
    wait_until(lambda: worker.stats()["trouble"] is not None, 40, "the refused login")
    wait_until(lambda: "refuses the login of bob" in str(worker.stats()["trouble"]), 40, "its cause")
    produce(secured.broker.bootstrap, topics.input, messages(20, first=20))
    file.write_text("second\n")
    assert sorted(read_ids(secured.broker.bootstrap, topics.output, 40)) == list(range(40)), "within a minute"
