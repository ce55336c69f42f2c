"""Kafka client configuration, and kafka-python's errors translated into errors with a fix."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import AuthorizationError, KafkaError

from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.probe import CLIENT_ID, Cluster, Unreachable, reach
from labelstream.workers.stream.broker.sasl import Password
from labelstream.workers.stream.broker.tls import RenewedContext

logger = logging.getLogger(__name__)
BOOTSTRAP_TIMEOUT_MS = 10_000
PATIENCE_S, AGAIN_S = 10.0, 0.3  # for a broker that is starting
# librdkafka's in-memory broker, recognized by its cluster id, supports only this API version of kafka-python.
IN_MEMORY_CLUSTER, IN_MEMORY_API = "mockCluster", (2, 3)


def client_config(kafka: KafkaSettings) -> dict[str, Any]:
    """Settings of every client. Secrets and certificates are read from their files at each connection."""
    security = kafka.security
    config: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers.split(","),
        "client_id": CLIENT_ID,
        "security_protocol": security.protocol,
        "request_timeout_ms": kafka.request_timeout_ms,
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
        "reconnect_backoff_max_ms": 1_000,  # with the default of 30 s, consumers return long after the broker
    }
    if "SSL" in security.protocol:
        config["ssl_context"] = RenewedContext(security)
    if security.sasl_mechanism:
        config |= {
            "sasl_mechanism": security.sasl_mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": Password(security),
        }
    return config


def connected_config(kafka: KafkaSettings, patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """`client_config` for the brokers that answer within `patience_s`.

    Raises `StartError` or `ConfigError` with the cause if none answers. Logs findings that do not prevent a start.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            cluster = reach(kafka)
            break
        except Unreachable as error:
            if time.monotonic() > deadline:
                raise StartError(str(error)) from None
            time.sleep(AGAIN_S)
    for finding in cluster.findings:
        logger.log(min(finding.level, logging.ERROR), "%s", finding)
    return config_for(kafka, cluster)


def config_for(kafka: KafkaSettings, cluster: Cluster) -> dict[str, Any]:
    """`client_config` for a cluster that `reach` returned."""
    in_memory = cluster.id.startswith(IN_MEMORY_CLUSTER)
    return client_config(kafka) | ({"api_version": IN_MEMORY_API} if in_memory else {})


def is_in_memory(config: dict[str, Any]) -> bool:
    """Is this a `connected_config` of the in-memory broker, which creates topics on first use and has no settings?"""
    return config.get("api_version") == IN_MEMORY_API


@contextmanager
def translate_kafka_errors(kafka: KafkaSettings) -> Iterator[None]:
    """Turn kafka-python's errors into `StartError`s that name the key and the fix."""
    try:
        yield
    except AuthorizationError as error:
        raise StartError(
            f"kafka: permission denied ({type(error).__name__}, {_user(kafka)}); grant the rights that "
            "docs/how-to/secure.md lists"
        ) from None
    except KafkaError as error:
        raise StartError(cause_of(kafka, error)) from None
    except (OSError, ValueError) as error:
        raise StartError(f"kafka: {type(error).__name__}: {error}") from None


def cause_of(kafka: KafkaSettings, error: KafkaError) -> str:
    """The cause of `error`, which often is only a timeout. Connects again to find the cause."""
    try:
        reach(kafka)
    except (StartError, ConfigError) as cause:
        return str(cause)
    return f"kafka.bootstrap_servers: {kafka.bootstrap_servers}: {type(error).__name__}: {error}"


def never_log_messages() -> None:
    """Keep kafka-python's log at INFO or above: its DEBUG log contains keys and values."""
    logger = logging.getLogger("kafka")
    if logger.getEffectiveLevel() < logging.INFO:
        logger.setLevel(logging.INFO)


def _user(kafka: KafkaSettings) -> str:
    return f"user {kafka.security.username}" if kafka.security.username else "no user is set"
