"""What every kafka-python client is told, and its errors in words that a person can act on."""

import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
)

from labelstream.workers.config_file import secret_of
from labelstream.workers.errors import StartError
from labelstream.workers.settings import KafkaSettings

CLIENT_ID = "labelstream"
BOOTSTRAP_TIMEOUT_MS = 10_000
# librdkafka's in-memory broker fails kafka-python's newest handshake; it names its cluster so, and takes this version.
IN_MEMORY_CLUSTER, IN_MEMORY_API = "mockCluster", (2, 3)


def client_config(kafka: KafkaSettings) -> dict[str, Any]:
    """What every client needs. Holds secrets: never log it."""
    security = kafka.security
    password = secret_of(security.password, security.password_file, "kafka.security.password_file")
    key_password = secret_of(security.key_password, security.key_password_file, "kafka.security.key_password_file")
    config: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers.split(","),
        "client_id": CLIENT_ID,
        "security_protocol": security.protocol,
        "request_timeout_ms": kafka.request_timeout_ms,
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
        "reconnect_backoff_max_ms": 1_000,  # the default of 30 s keeps a consumer away long after the broker is back
        "ssl_cafile": _path(security.ca_file),
        "ssl_certfile": _path(security.cert_file),
        "ssl_keyfile": _path(security.key_file),
        "ssl_password": key_password,
    }
    if security.sasl_mechanism:
        config |= {
            "sasl_mechanism": security.sasl_mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": password,
        }
    return config


def connected_config(kafka: KafkaSettings) -> dict[str, Any]:
    """`client_config`, fitted to the broker that answers. Raises `StartError` when none does."""
    config = client_config(kafka)
    with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config, api_version=IN_MEMORY_API)) as admin:
        in_memory = str(admin.describe_cluster().get("cluster_id")).startswith(IN_MEMORY_CLUSTER)
    return config | ({"api_version": IN_MEMORY_API} if in_memory else {})


def is_in_memory(config: dict[str, Any]) -> bool:
    """Is this `connected_config` of the in-memory broker? It makes topics on first use and has no topic settings."""
    return config.get("api_version") == IN_MEMORY_API


@contextmanager
def translate_kafka_errors(kafka: KafkaSettings) -> Iterator[None]:
    """Turn kafka-python's errors into `StartError`s that name the key and the fix."""
    servers, protocol = kafka.bootstrap_servers, kafka.security.protocol
    try:
        yield
    except AuthorizationError as error:
        raise StartError(
            f"kafka: permission denied ({type(error).__name__}, {_who(kafka)}); grant the rights that "
            "docs/how-to/secure.md lists"
        ) from None
    except (KafkaTimeoutError, SaslAuthenticationFailedError) as error:
        if not _listens(servers):
            raise StartError(f"kafka.bootstrap_servers: no broker answers at {servers}; is it running?") from None
        # kafka-python retries a refused login until its time is up, and tells the cause to its log alone.
        if protocol.startswith("SASL"):
            raise StartError(
                f"kafka.security: the broker at {servers} refuses the login; check username, password, "
                f"sasl_mechanism, and protocol ({protocol})"
            ) from None
        raise StartError(
            f"kafka.bootstrap_servers: what listens at {servers} does not answer as Kafka over "
            f"{protocol} ({error}); check kafka.security.protocol"
        ) from None
    except KafkaError as error:
        raise StartError(f"kafka.bootstrap_servers: {servers}: {type(error).__name__}: {error}") from None
    except (OSError, ValueError) as error:  # TLS files, names that do not resolve
        raise StartError(f"kafka: {type(error).__name__}: {error}") from None


def _listens(servers: str) -> bool:
    """Does anything take a TCP connection at one of the addresses?"""
    for server in servers.split(","):
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
        except OSError:
            continue
        return True
    return False


def never_log_messages() -> None:
    """kafka-python's DEBUG log holds keys and values: whatever level the process logs at, it stays above that."""
    logger = logging.getLogger("kafka")
    if logger.getEffectiveLevel() < logging.INFO:
        logger.setLevel(logging.INFO)


def _who(kafka: KafkaSettings) -> str:
    return f"user {kafka.security.username}" if kafka.security.username else "no user is set"


def _path(path: object) -> str | None:
    return None if path is None else str(path)
