"""Connection probe: connects to brokers step by step to find the cause of a failure.

Steps: name, port, TLS, Kafka, login, advertised brokers. kafka-python itself only retries and logs causes.
"""

import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from logging import WARNING
from typing import Any, NamedTuple

from kafka.errors import KafkaError
from kafka.protocol.metadata import (
    ApiVersionsRequest,  # pyright: ignore[reportAttributeAccessIssue]
    MetadataRequest,  # pyright: ignore[reportAttributeAccessIssue]
)
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from labelstream.workers.errors import LabelstreamError, StartError
from labelstream.workers.settings.kafka import KafkaSettings, SecuritySettings
from labelstream.workers.stream.broker.finding import Finding
from labelstream.workers.stream.broker.sasl import MECHANISMS, Password
from labelstream.workers.stream.broker.tls import make_context, tls_problem

CLIENT_ID = "labelstream"
SERVERS, SECURITY = "kafka.bootstrap_servers", "kafka.security"
CONNECT_S, ANSWER_S = 3.0, 5.0
UNSUPPORTED_MECHANISM = 33
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class Unreachable(StartError):
    """No broker answers now; a retry may help."""


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Cluster(NamedTuple):
    """The cluster's id, and findings that do not prevent a client from working."""

    id: str
    findings: list[Finding]


def reach(kafka: KafkaSettings) -> Cluster:
    """Connect once. Raises `StartError` or `ConfigError` with the cause if a client could not work.

    Needs one bootstrap server, and one of the brokers that it advertises.
    """
    servers = [_address(server) for server in kafka.bootstrap_servers.split(",")]
    responses = _each(partial(_ask, kafka), servers)
    answers = [answer for answer in responses.values() if not isinstance(answer, LabelstreamError)]
    failed = {server: answer for server, answer in responses.items() if isinstance(answer, LabelstreamError)}
    if not answers:
        lasting = [error for error in failed.values() if not isinstance(error, Unreachable)]
        raise (lasting or list(failed.values()))[0]
    findings = [Finding.of(error, WARNING) for error in failed.values()]
    if kafka.security.protocol == "SASL_PLAINTEXT" and kafka.security.sasl_mechanism == "PLAIN":
        text = "SASL PLAIN without TLS sends the password in the clear; set SASL_SSL, or a SCRAM mechanism"
        findings.append(Finding(f"{SECURITY}.protocol", text, WARNING))
    cluster, brokers = answers[0]
    others = _each(partial(_greet, kafka), brokers.keys() - set(servers))
    lost = [_advertised(brokers[address], address, servers[0], error) for address, error in others.items() if error]
    if lost and len(lost) == len(brokers):
        raise StartError(str(lost[0]))
    return Cluster(cluster, findings + lost)


class _Conversation:
    """Requests and responses on one connection, one at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        options: dict[str, Any] = {"client_id": CLIENT_ID, "receive_message_max_bytes": MAX_ANSWER_BYTES}
        self._protocol = KafkaProtocol(**options)

    def ask(self, request: Any) -> Any:
        """Send a request and return its response. Raises OSError, or KafkaError if the response is not Kafka's."""
        self._protocol.send_request(request)
        self._sock.sendall(self._protocol.send_bytes())
        while data := self._sock.recv(65_536):
            for _, answer in self._protocol.receive_bytes(data):
                return answer
        raise ConnectionResetError("the connection was closed")


def _ask(kafka: KafkaSettings, address: Address) -> tuple[str, dict[Address, int]]:
    """The cluster's id, and the addresses of its advertised brokers with their ids."""
    with closing(_connect(address)) as plain, closing(_secured(kafka, plain, address)) as sock:
        conversation = _Conversation(sock)
        _identify(kafka, conversation, address)
        if kafka.security.sasl_mechanism:
            _log_in(kafka.security, conversation, address)
        try:
            answer = conversation.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False, version=4))
        except (OSError, KafkaError) as error:
            if kafka.security.sasl_mechanism or isinstance(error, TimeoutError):
                raise _no_kafka(kafka, address, error) from None
            raise StartError(
                f"{SECURITY}.protocol: the broker at {address} closes connections without a login; set "
                f"protocol to SASL_{kafka.security.protocol}, with sasl_mechanism, username and password_file"
            ) from None
        if not answer.brokers:
            raise Unreachable(f"{SERVERS}: the broker at {address} lists no brokers yet; is the cluster starting?")
        return answer.cluster_id or "", {Address(found.host, found.port): found.node_id for found in answer.brokers}


def _greet(kafka: KafkaSettings, address: Address) -> None:
    """Connect to an advertised broker up to the login, which is the same on all brokers."""
    with closing(_connect(address)) as plain, closing(_secured(kafka, plain, address)) as sock:
        _identify(kafka, _Conversation(sock), address)


def _connect(address: Address) -> socket.socket:
    try:
        sock = socket.create_connection(address, CONNECT_S)
    except socket.gaierror as error:
        raise Unreachable(f"{SERVERS}: the name {address.host} does not resolve ({error.strerror})") from None
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise Unreachable(f"{SERVERS}: no broker answers at {address} ({reason}); is it running?") from None
    sock.settimeout(ANSWER_S)
    return sock


def _secured(kafka: KafkaSettings, sock: socket.socket, address: Address) -> socket.socket:
    if "SSL" not in kafka.security.protocol:
        return sock
    context = make_context(kafka.security)
    try:
        return context.wrap_socket(sock, server_hostname=address.host.rstrip("."))
    except OSError as error:
        problem = tls_problem(error, kafka.security, str(address)) if isinstance(error, ssl.SSLError) else None
        if problem is None and _speaks_plainly(address):
            problem = StartError(
                f"{SECURITY}.protocol: the broker at {address} speaks no TLS; set protocol to PLAINTEXT, or to "
                "SASL_PLAINTEXT if the broker asks for a login"
            )
        raise problem or _no_kafka(kafka, address, error) from None


def _identify(kafka: KafkaSettings, conversation: _Conversation, address: Address) -> None:
    """Check that a broker listens. With TLS 1.3, the client certificate is also refused here."""
    try:
        conversation.ask(ApiVersionsRequest(version=0))
    except ssl.SSLError as error:
        raise tls_problem(error, kafka.security, str(address)) or _no_kafka(kafka, address, error) from None
    except (OSError, KafkaError, ValueError) as error:
        if "SSL" not in kafka.security.protocol and _speaks_tls(address):
            other = "SASL_SSL" if kafka.security.protocol.startswith("SASL") else "SSL"
            raise StartError(
                f"{SECURITY}.protocol: the listener at {address} speaks TLS; set protocol to {other}"
            ) from None
        raise _no_kafka(kafka, address, error) from None


def _log_in(security: SecuritySettings, conversation: _Conversation, address: Address) -> None:
    name = str(security.sasl_mechanism)
    login = MECHANISMS[name](
        sasl_mechanism=name, sasl_plain_username=security.username, sasl_plain_password=Password(security).read()
    )
    try:
        offer = conversation.ask(SaslHandshakeRequest(mechanism=name, version=1))
        if offer.error_code == UNSUPPORTED_MECHANISM:
            raise StartError(
                f"{SECURITY}.sasl_mechanism: the broker at {address} does not offer {name}; it offers "
                f"{', '.join(sorted(offer.mechanisms))}"
            )
        if offer.error_code:
            plain = security.protocol.removeprefix("SASL_")
            raise StartError(f"{SECURITY}.protocol: the broker at {address} asks for no login; set protocol to {plain}")
        while not login.is_done():
            answer = conversation.ask(SaslAuthenticateRequest(login.auth_bytes(), version=0))
            if answer.error_code:
                raise ValueError(answer.error_message)
            login.receive(answer.auth_bytes)
    except (OSError, KafkaError, ValueError) as error:  # ValueError: also a wrong SCRAM proof of the broker
        raise StartError(
            f"{SECURITY}: the broker at {address} refuses the login of {security.username} by {name} ({error}); check "
            "username and password_file, or the password in the environment"
        ) from None


def _speaks_plainly(address: Address) -> bool:
    try:
        with closing(_connect(address)) as sock:
            _Conversation(sock).ask(ApiVersionsRequest(version=0))
        return True
    except (OSError, KafkaError, ValueError, StartError):
        return False


def _speaks_tls(address: Address) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # no data is sent
    try:
        with closing(_connect(address)) as sock, closing(context.wrap_socket(sock)):
            return True
    except (OSError, StartError):
        return False


def _no_kafka(kafka: KafkaSettings, address: Address, error: Exception) -> Unreachable:
    reason = "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return Unreachable(
        f"{SERVERS}: the listener at {address} does not answer as Kafka over {kafka.security.protocol} ({reason}); "
        f"check the port, and {SECURITY}.protocol"
    )


def _advertised(broker: int, address: Address, bootstrap: Address, error: LabelstreamError) -> Finding:
    text = (
        f"broker {broker} advertises {address} on the listener at {bootstrap}, which is unreachable from here: "
        f"{Finding.of(error).text}; set the broker's advertised.listeners to an address that its clients reach"
    )
    return Finding(SERVERS, text)


def _address(server: str) -> Address:
    host, _, port = server.rpartition(":")
    return Address(host.strip("[]"), int(port))


def _each(ask: Any, places: Iterable[Address]) -> dict[Address, Any]:
    """Results or LabelstreamErrors of `ask` by address, asked in parallel."""

    def safely(address: Address) -> Any:
        try:
            return ask(address)
        except LabelstreamError as error:
            return error

    listed = list(places)
    if not listed:
        return {}
    with ThreadPoolExecutor(min(len(listed), 16)) as pool:
        return dict(zip(listed, pool.map(safely, listed), strict=True))
