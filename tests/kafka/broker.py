"""A single-node Apache Kafka (KRaft, broker and controller in one process) on loopback."""

import atexit
import base64
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.admin import ACLResourcePatternType as PatternType
from kafka.errors import KafkaError
from kafka.protocol.admin import AlterClientQuotasRequest  # pyright: ignore[reportAttributeAccessIssue]

from . import guard
from .install import java_command
from .settings import HOST, JAVA_FLAGS, scram_arguments, server_properties

STOP_S = 15.0
KILL_S = 5.0


class BrokerError(RuntimeError):
    """The broker could not be started or stopped; the text contains the end of its log."""


class Broker:
    """A running broker, known by its address only."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def client_config(self, user: str | None = None, **more: Any) -> dict[str, Any]:
        """kafka-python settings to reach this broker; user only on a broker with users."""
        if user is not None:
            raise ValueError("this broker has no users")
        return {"bootstrap_servers": self.bootstrap} | more

    def admin(self) -> Any:
        """A new KafkaAdminClient with all rights; the caller closes it (it is a context manager).

        Any: pyright's stubs are of an older client.
        """
        return KafkaAdminClient(**self.client_config(bootstrap_timeout_ms=10_000))

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic and return when every partition has a leader. Raises KafkaError if the topic exists."""
        topic = {"num_partitions": partitions, "replication_factor": -1, "configs": dict(config or {})}
        with self.admin() as admin:
            admin.create_topics({name: topic}, wait_for_metadata=True)

    def add_partitions(self, name: str, total: int) -> None:
        """Grow a topic to `total` partitions. Raises KafkaError if that fails."""
        with self.admin() as admin:
            admin.create_partitions({name: total})

    def set_quota(self, client_id: str, name: str, value: float | None) -> None:
        """Set a quota of a client, for example "producer_byte_rate"; None removes it."""
        entry = AlterClientQuotasRequest.EntryData
        client = entry.EntityData(entity_type="client-id", entity_name=client_id)
        operation = entry.OpData(key=name, value=value or 0.0, remove=value is None)
        asked = entry(entity=[client], ops=[operation])

        async def alter(manager: Any) -> Any:
            return await manager.send(AlterClientQuotasRequest(entries=[asked], validate_only=False))

        with self.admin() as admin:
            manager: Any = admin._manager  # kafka-python has the request, but no method
            (answer,) = manager.run(alter, manager).entries
        if answer.error_code:
            raise BrokerError(f"could not set {name} of {client_id}: {answer.error_message}")


class KafkaBroker(Broker):
    """Runs its own broker. Not for use by two threads at once.

    Port 0 takes a free port, kept over restarts. Without `data`, all files are in a temporary folder that close()
    removes. A data folder is kept, and formatted with the users' SCRAM passwords if new. `server_properties` override
    the defaults. With users (name -> password), clients must log in with PLAIN or SCRAM-SHA-256 and have only rights
    from allow(). Super users have all rights; name at least one.

    The process ends with close(), at exit, and when this process is killed in any way.
    """

    def __init__(
        self,
        port: int = 0,
        data: Path | None = None,
        server_properties: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        super_users: Sequence[str] = (),
        start_timeout_s: float = 120.0,
    ) -> None:
        if users and not super_users:
            raise ValueError("a broker with users needs a super user")
        if not all(text.isalnum() for account in (users or {}).items() for text in account):
            raise ValueError("names and passwords here are letters and digits: they go into JAAS lines unescaped")
        self.port = port or free_port()
        super().__init__(f"{HOST}:{self.port}")
        self.controller_port = free_port(besides=self.port)
        self._data = data
        self._overrides = dict(server_properties or {})
        self._users = dict(users or {})
        self._super_users = tuple(super_users)
        self._start_timeout_s = start_timeout_s
        self.folder: Path | None = data  # properties, log and data; None before the first start
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pids(self) -> list[int]:
        """Process id of the broker itself, a child of its guard."""
        assert self._process is not None, "the broker was not started"
        guard_id = self._process.pid
        return [int(pid) for pid in Path(f"/proc/{guard_id}/task/{guard_id}/children").read_text().split()]

    def client_config(self, user: str | None = None, **more: Any) -> dict[str, Any]:
        """kafka-python settings for a user (default: the first super user)."""
        if not self._users:
            return super().client_config(user, **more)
        user = user or self._super_users[0]
        login = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": user,
            "sasl_plain_password": self._users[user],
        }
        return {"bootstrap_servers": self.bootstrap} | login | more

    def override(self, server_properties: Mapping[str, str]) -> None:
        """Override more settings from the next start on."""
        self._overrides |= server_properties

    def start(self) -> None:
        """Start the broker and return when it answers requests. Raises BrokerError or KafkaMissing."""
        if self.running:
            raise BrokerError("the broker is running already")
        java = [*java_command(), *JAVA_FLAGS]
        for port in (self.port, self.controller_port):
            if not _is_free(port):
                raise BrokerError(f"port {port} is taken")
        atexit.register(self.close)
        try:
            self._prepare(java)
            # Without site-packages and environment: the guard needs none and starts faster.
            guarded = [sys.executable, "-I", "-S", guard.__file__, "" if self._data else str(self.folder)]
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*guarded, *java, "kafka.Kafka", str(self._properties)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    # Own process group: Ctrl-C in the terminal must reach only this process, which stops the broker.
                    start_new_session=True,
                )
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Stop the broker in order, or by force if that takes too long; the data are kept."""
        self._end(signal.SIGTERM, STOP_S)

    def kill(self) -> None:
        """Kill the broker with SIGKILL, as a crash would; the data are kept."""
        self._end(signal.SIGUSR1, KILL_S)

    def fill_disk(self) -> None:
        """Make writes fail as on a full disk, until the next start: the broker's files can no longer grow."""
        for pid in self.pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def restart(self) -> None:
        """Start the broker again with the same address and data, after stopping it if it runs."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the broker for good and remove its temporary folder."""
        self.stop()
        if self.folder is not None and self._data is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        atexit.unregister(self.close)

    def wait(self) -> int:
        """Block until the running broker exits; return its exit status."""
        assert self._process is not None, "the broker was not started"
        return self._process.wait()

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the broker's log (warnings and errors)."""
        if self.folder is None or not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def allow(
        self,
        user: str,
        operation: str,
        *,
        topic: str | None = None,
        group: str | None = None,
        transactional_id: str | None = None,
        cluster: bool = False,
        prefix: bool = False,
    ) -> None:
        """Grant a user one operation ("read", "write", "describe", ...) on each named resource.

        With `prefix`, names are prefixes. Returns when the grant is in force.
        """
        names = {
            ResourceType.TOPIC: topic,
            ResourceType.GROUP: group,
            ResourceType.TRANSACTIONAL_ID: transactional_id,
            ResourceType.CLUSTER: "kafka-cluster" if cluster else None,
        }
        pattern = PatternType.PREFIXED if prefix else PatternType.LITERAL
        acls = [
            ACL(
                principal=f"User:{user}",
                host="*",
                operation=ACLOperation[operation.upper()],
                permission_type=ACLPermissionType.ALLOW,
                resource_pattern=ResourcePattern(kind, name, pattern),
            )
            for kind, name in names.items()
            if name is not None
        ]
        with self.admin() as admin:
            if failed := admin.create_acls(acls)["failed"]:
                raise BrokerError(f"could not grant {operation} to {user}: {failed}")
            for acl in acls:
                while not admin.describe_acls(acl)[0]:
                    time.sleep(0.01)

    @property
    def _log(self) -> Path:
        assert self.folder is not None
        return self.folder / "kafka.log"

    @property
    def _properties(self) -> Path:
        assert self.folder is not None
        return self.folder / "server.properties"

    def _prepare(self, java: list[str]) -> None:
        """Write the settings, and format the data folder if it is new."""
        self.folder = self.folder or Path(tempfile.mkdtemp(prefix="labelstream-kafka-"))
        data = self.folder.resolve() / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(
            server_properties(data, self.port, self.controller_port, self._users, self._super_users, self._overrides)
        )
        if (data / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}"]
        done = subprocess.run(
            [*tool, f"--config={self._properties}", *scram_arguments(self._users)], capture_output=True, text=True
        )
        if done.returncode != 0:
            raise BrokerError(f"could not format {data}:\n{done.stdout}{done.stderr}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        config = self.client_config(bootstrap_timeout_ms=5_000)
        while self.running:
            if time.monotonic() > deadline:
                raise BrokerError(f"Kafka is not ready after {self._start_timeout_s:g} s:\n{self.log_tail()}")
            # Check the bare port first: a client would back off and log after its first failures.
            if _accepts(self.port):
                try:
                    with closing(KafkaAdminClient(**config)) as admin:
                        admin.describe_cluster()
                    return
                except KafkaError:
                    pass
            time.sleep(0.03)
        raise BrokerError(f"Kafka ended while starting:\n{self.log_tail()}")

    def _end(self, number: signal.Signals, patience_s: float) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)  # to the guard, which ends after Kafka: then the port is free
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None


def free_port(besides: int = 0) -> int:
    """A free loopback port, other than `besides`."""
    # Below the ephemeral range (from 32768): an outgoing connection could take the port while the broker is down.
    while True:
        port = random.randrange(15_000, 32_000)
        if port != besides and _is_free(port):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Like the broker: connections in TIME_WAIT must not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
