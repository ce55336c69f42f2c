"""Whether HTTP can be served on this machine: a free port, the token, and the files for TLS."""

import socket
import ssl
from collections.abc import Iterator

from labelstream.deploy.cluster import network
from labelstream.deploy.gateway.http_token import token_of
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.http import HttpSettings
from labelstream.workers.stream.broker.finding import Finding


def http_findings(http: HttpSettings, listens: bool = False) -> list[Finding]:
    """Why HTTP cannot be served as `http` says, with the fixes. `listens`: the application itself has the port."""
    return [*(() if listens else _of_port(http)), *_of_token(http), *_of_certificate(http)]


def free_port() -> int:
    """The default port on loopback, or another one if that is not free."""
    http = HttpSettings()
    if network.listen_error(http.host, http.port) is None:
        return http.port
    with socket.create_server((http.host, 0)) as probe:
        return probe.getsockname()[1]


def _of_port(http: HttpSettings) -> Iterator[Finding]:
    """Serve shares its port with any other Serve of the same user (SO_REUSEPORT), and the kernel would then give
    requests to either.
    """
    error = network.listen_error(http.host, http.port)
    if error is None:
        return
    if network.is_of_port(error):
        yield Finding("http.port", f"port {http.port} is not free ({error.strerror}); give another one")
    else:
        text = f"nothing can listen on {http.host} ({error.strerror}); give an address of this machine"
        yield Finding("http.host", text)


def _of_token(http: HttpSettings) -> Iterator[Finding]:
    try:
        token_of(http)
    except ConfigError as error:
        yield Finding.of(error)


def _of_certificate(http: HttpSettings) -> Iterator[Finding]:
    if http.cert_file is None or http.key_file is None:
        return
    for key, file in (("cert_file", http.cert_file), ("key_file", http.key_file)):
        if not file.is_file():
            yield Finding(f"http.{key}", f"{file} is not a file; check the path")
            return
    try:
        # The password of an encrypted key would be asked for at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(http.cert_file, http.key_file, password=lambda: "")
    except ssl.SSLError as error:
        reason = error.reason.replace("_", " ").lower() if error.reason else "no PEM, or a key with a password"
        yield _unusable(http, reason)
    except OSError as error:
        yield _unusable(http, error.strerror or type(error).__name__)


def _unusable(http: HttpSettings, reason: str) -> Finding:
    fix = "give a certificate and its key, both as PEM"
    return Finding("http.cert_file", f"{http.cert_file} and {http.key_file} cannot be used ({reason}); {fix}")
