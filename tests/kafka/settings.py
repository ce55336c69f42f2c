"""The broker's server.properties and Java flags."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

HOST = "127.0.0.1"

# Little memory, one collector thread and the quick compiler: a fast start matters more than peak speed. Kafka 4 reads
# the level only, Kafka 3 the file.
JAVA_FLAGS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dlog4j2.level=WARN",
    f"-Dlog4j.configuration=file:{Path(__file__).with_name('log4j.properties')}",
)

SINGLE_NODE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENT",
    # One node holds every replica; one partition per internal topic speeds up the first group and transaction.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # As in production: topics must be created explicitly.
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After a SIGKILL, the controller refuses the broker until its old session has timed out (9 s by default).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Allocated at start, by default 128 MiB.
    "log.cleaner.dedupe.buffer.size": "4194304",
}


def server_properties(
    data: Path,
    port: int,
    controller_port: int,
    users: Mapping[str, str],
    super_users: Sequence[str],
    overrides: Mapping[str, str],
) -> str:
    """server.properties as text. With users, the client listener requires a password and ACLs are enforced."""
    properties = SINGLE_NODE | {
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"CLIENT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "listener.security.protocol.map": f"CLIENT:{'SASL_PLAINTEXT' if users else 'PLAINTEXT'},CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
    }
    if users:
        properties |= _security(users, super_users)
    return "".join(f"{key}={value}\n" for key, value in (properties | dict(overrides)).items())


def scram_arguments(users: Mapping[str, str]) -> list[str]:
    """Formatter arguments that store the users' SCRAM passwords; PLAIN passwords are in the properties."""
    return [f"--add-scram=SCRAM-SHA-256=[name={user},password={password}]" for user, password in users.items()]


def _security(users: Mapping[str, str], super_users: Sequence[str]) -> dict[str, str]:
    own = secrets.token_hex(8)  # password of the broker's own account, for transaction markers
    plain = {"broker": own} | dict(users)
    accounts = " ".join(f'user_{user}="{password}"' for user, password in plain.items())
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # ANONYMOUS is the broker itself on the controller's listener, which clients do not know.
        "super.users": ";".join(f"User:{user}" for user in ("ANONYMOUS", "broker", *super_users)),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule required"
            f' username="broker" password="{own}" {accounts};'
        ),
        "listener.name.client.scram-sha-256.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
