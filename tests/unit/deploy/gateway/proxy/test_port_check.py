import socket
from pathlib import Path

import pytest

from labelstream.deploy.gateway.proxy import port_check
from labelstream.deploy.gateway.proxy.port_check import http_findings
from labelstream.workers.settings.http import HttpSettings
from tests.monitoring.prometheus import free_port
from tests.support.certificates import Authority


def found(**http: object) -> list[str]:
    return [f"{finding.key}: {finding.text}" for finding in http_findings(HttpSettings.model_validate(http))]


def test_free_port_is_no_problem() -> None:
    assert found(port=free_port()) == []


def test_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as Serve's proxies have it
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert found(port=port) == [f"http.port: port {port} is not free (Address already in use); give another one"]
        assert http_findings(HttpSettings(port=port), listens=True) == []


def test_default_port_or_a_free_one_is_given() -> None:
    default = HttpSettings().port
    found = port_check.free_port()
    assert http_findings(HttpSettings(port=found)) == []
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if found == default:
            other.bind(("127.0.0.1", default))
            other.listen()
        assert port_check.free_port() != default


def test_foreign_address_is_named() -> None:
    (problem,) = found(host="192.0.2.1", token="secret")
    assert problem.startswith("http.host: nothing can listen on 192.0.2.1")


def test_missing_token_file_is_named(tmp_path: Path) -> None:
    (problem,) = found(port=free_port(), token_file=tmp_path / "token")
    assert problem.startswith(f"http.token_file: {tmp_path}/token cannot be read")


def test_certificate_with_its_key_is_no_problem(tmp_path: Path) -> None:
    issued = Authority(tmp_path).issue("gateway")
    assert found(port=free_port(), cert_file=issued.cert, key_file=issued.key) == []


def test_missing_certificate_is_named(tmp_path: Path) -> None:
    problems = found(port=free_port(), cert_file=tmp_path / "c.pem", key_file=tmp_path / "k.pem")
    assert problems == [f"http.cert_file: {tmp_path}/c.pem is not a file; check the path"]


@pytest.mark.parametrize(("own", "reason"), [(True, "no PEM, or a key"), (False, "key values mismatch")])
def test_unusable_key_is_named(tmp_path: Path, own: bool, reason: str) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("gateway").cert, authority.issue("other").key
    if own:
        key.write_text("no key")
    (problem,) = found(port=free_port(), cert_file=cert, key_file=key)
    assert problem.startswith("http.cert_file: ")
    assert reason in problem
