"""TLS by itself: files, and what a handshake with a local server fails of. Each has its key and its file."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError

from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.kafka import SecuritySettings
from labelstream.workers.stream.broker.tls import RenewedContext, make_context, tls_problem
from tests.support.certificates import Authority, Issued


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def client(authority: Authority) -> Issued:
    return authority.issue("client")


def security(**files: Any) -> SecuritySettings:
    return SecuritySettings(protocol="SSL", **files)


class Server:
    """Shakes hands with whoever comes, and says one byte."""

    def __init__(self, own: Issued, trusts: Path | None = None, version: ssl.TLSVersion | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(own.cert, own.key)
        if version is not None:
            self._context.maximum_version = version
        if trusts is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(trusts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self._listener:
            while True:
                sock, _ = self._listener.accept()
                with contextlib.suppress(OSError), self._context.wrap_socket(sock, server_side=True) as secured:
                    secured.sendall(b"!")
                    secured.recv(1)

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def serving(own: Issued, trusts: Path | None = None, version: ssl.TLSVersion | None = None) -> Iterator[Server]:
    server = Server(own, trusts, version)
    try:
        yield server
    finally:
        server.close()


def problem_with(server: Server, settings: SecuritySettings, name: str = "127.0.0.1") -> str | None:
    """What is said of the handshake and the first answer; None: it works."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as plain:
        try:
            with make_context(settings).wrap_socket(plain, server_hostname=name) as secured:
                assert secured.recv(1) == b"!"
                return None
        except ssl.SSLError as error:
            return str(tls_problem(error, settings, "BROKER"))


def test_known_ca_is_no_problem(authority: Authority) -> None:
    with serving(authority.issue("server")) as server:
        assert problem_with(server, security(ca_file=authority.file)) is None
        assert problem_with(server, security(ca_file=authority.file), "localhost") is None


def test_unknown_ca_is_named_with_its_file(authority: Authority, folder: Path) -> None:
    other = Authority(folder, "other").file
    with serving(authority.issue("server")) as server:
        said = problem_with(server, security(ca_file=other)) or ""
        assert said.startswith("kafka.security.ca_file: the certificate of the broker at BROKER is of a CA that is not")
        assert f"not among {other} (unable to get local issuer certificate); set ca_file" in said
        assert "not among the CAs of this system" in (problem_with(server, security()) or "")


def test_self_signed_certificate_is_named(authority: Authority) -> None:
    own = authority.issue("own", self_signed=True)
    with serving(own) as server:
        said = problem_with(server, security(ca_file=authority.file)) or ""
        assert said.startswith("kafka.security.ca_file: the certificate of the broker at BROKER is self-signed, and")
        assert problem_with(server, security(ca_file=own.cert)) is None


@pytest.mark.parametrize(
    ("issued", "said"),
    [
        (
            {"hosts": ("other.example",)},
            "kafka.bootstrap_servers: the certificate of the broker at BROKER is for another name (IP address mismatch",
        ),
        (
            {"starts_in_days": -5, "ends_in_days": -1},
            "kafka.security.ca_file: the certificate of the broker at BROKER, or of its CA among CA, has expired",
        ),
        (
            {"starts_in_days": 5},
            "kafka.security.ca_file: the certificate of the broker at BROKER, or of its CA among CA, is not yet valid",
        ),
    ],
)
def test_wrong_certificate_is_named(authority: Authority, issued: dict[str, Any], said: str) -> None:
    with serving(authority.issue("wrong", **issued)) as server:
        found = problem_with(server, security(ca_file=authority.file)) or ""
    assert found.replace(str(authority.file), "CA").startswith(said)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_missing_client_certificate_is_named(authority: Authority, client: Issued, version: ssl.TLSVersion) -> None:
    with serving(authority.issue("server"), authority.file, version) as server:
        said = problem_with(server, security(ca_file=authority.file)) or ""
        assert said.startswith("kafka.security.cert_file: the broker at BROKER requires a client certificate (")
        mine = security(ca_file=authority.file, cert_file=client.cert, key_file=client.key)
        assert problem_with(server, mine) is None


@pytest.mark.parametrize(
    ("days", "why"),
    [
        ((0, 10), "; does the broker trust its CA?"),
        ((-5, -1), "; it has expired ("),
        ((5, 9), "; it is not yet"),
    ],
)
def test_refused_client_certificate_is_named(
    authority: Authority, folder: Path, days: tuple[int, int], why: str
) -> None:
    mine = Authority(folder, "stranger").issue("mine", starts_in_days=days[0], ends_in_days=days[1])
    with serving(authority.issue("server"), authority.file) as server:
        said = problem_with(server, security(ca_file=authority.file, cert_file=mine.cert, key_file=mine.key)) or ""
        assert said.startswith(
            f"kafka.security.cert_file: the broker at BROKER refuses the certificate in {mine.cert} ("
        )
        assert why in said


def refusal(**files: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        make_context(security(**files))
    return str(refused.value)


def test_files_that_are_no_use_are_named(authority: Authority, client: Issued, tmp_path: Path) -> None:
    text, none = tmp_path / "text", tmp_path / "none"
    text.write_text("no certificate")
    assert refusal(ca_file=none).startswith(
        f"kafka.security.ca_file: {none} cannot be read (No such file or directory)"
    )
    assert refusal(ca_file=text).startswith(f"kafka.security.ca_file: {text} holds no certificate in PEM")
    assert refusal(cert_file=none, key_file=client.key).startswith(f"kafka.security.cert_file: {none} cannot be read")
    assert refusal(cert_file=client.cert, key_file=text).startswith(f"kafka.security.key_file: {text} holds no private")
    other = authority.issue("another").key
    said = refusal(cert_file=client.cert, key_file=other)
    assert said.startswith(f"kafka.security.key_file: {other} is not the key of the certificate in {client.cert}")
    text.write_text("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
    assert refusal(ca_file=text).startswith(f"kafka.security.ca_file: {text} is damaged (")


def test_encrypted_key_asks_nobody_for_its_password(authority: Authority, tmp_path: Path) -> None:
    locked, password = authority.issue("locked", key_password="secret"), tmp_path / "password"
    said = refusal(cert_file=locked.cert, key_file=locked.key)
    assert said.startswith(f"kafka.security.key_file: {locked.key} is encrypted, and there is no password; set key_")
    password.write_text("wrong\n")
    files: dict[str, Any] = {"cert_file": locked.cert, "key_file": locked.key, "key_password_file": password}
    assert refusal(**files).startswith(f"kafka.security.key_password_file: {password} does not open {locked.key} (")
    assert "wrong" not in refusal(**files)
    password.write_text("secret\n")
    make_context(security(**files))


def test_changed_file_is_used_for_the_next_connection(authority: Authority, folder: Path, tmp_path: Path) -> None:
    trusted = tmp_path / "ca.pem"
    renewed = RenewedContext(security(ca_file=trusted))
    with socket.socket() as sock, pytest.raises(KafkaConnectionError, match=r"ca_file: .* cannot be read"):
        renewed.wrap_socket(sock)
    with serving(authority.issue("server")) as server:
        for file, works in ((Authority(folder, "old").file, False), (authority.file, True)):
            trusted.write_bytes(file.read_bytes())
            with socket.create_connection(("127.0.0.1", server.port), 5) as plain:
                secured = renewed.wrap_socket(plain, server_hostname="127.0.0.1", do_handshake_on_connect=False)
                with contextlib.nullcontext() if works else pytest.raises(ssl.SSLCertVerificationError):
                    secured.do_handshake()
                secured.close()


def test_other_errors_are_none_of_certificates() -> None:
    assert tls_problem(ssl.SSLError(1, "wrong version number"), security(), "BROKER") is None
    old = tls_problem(ssl.SSLError(1, "unsupported protocol"), security(), "BROKER")
    assert str(old) == "kafka.security.protocol: the broker at BROKER does not support TLS 1.2 or newer"
