import socket
from pathlib import Path

from labelstream.deploy.gateway.proxy.port_check import http_problem
from labelstream.workers.settings import HttpSettings
from tests.monitoring.prometheus import free_port


def test_free_port_is_no_problem() -> None:
    assert http_problem(HttpSettings(port=free_port())) is None


def test_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as Serve's proxies have it
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        problem = http_problem(HttpSettings(port=port))
    assert problem == f"port {port} is not free (Address already in use); give another one"


def test_foreign_address_is_named() -> None:
    http = HttpSettings.model_validate({"host": "192.0.2.1", "token_file": "/t"})
    assert "nothing can listen on http.host 192.0.2.1" in str(http_problem(http))


def test_missing_certificate_is_named(tmp_path: Path) -> None:
    http = HttpSettings(port=free_port(), cert_file=tmp_path / "c.pem", key_file=tmp_path / "k.pem")
    assert http_problem(http) == f"http.cert_file {tmp_path}/c.pem is not a file; check the path"
