"""Metrics of a Ray on loopback, for a Prometheus elsewhere."""

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from labelstream.deploy.cluster.metrics_endpoint import MetricsAddress, _Server, metrics_endpoint
from labelstream.workers.errors import StartError

KIND = "text/plain; version=0.0.4"


class Exporter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", KIND)
        self.end_headers()
        self.wfile.write(b"up 1\n")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def exporter() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Exporter)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    thread.join()
    server.server_close()


def free_port() -> int:
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


def code(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_metrics_are_passed_on_and_nothing_else(exporter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with metrics_endpoint(MetricsAddress("127.0.0.1", port)) as show:
        assert code(port, "/metrics") == 503, "Ray is starting"
        show(exporter)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert (answer.read(), answer.headers["Content-Type"]) == (b"up 1\n", KIND)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert code(port, "/") == 404
        assert code(port, "/metrics/../nodes") == 404
    with socket.create_server(("", port)):
        pass  # it is free again


def test_no_port_is_no_server() -> None:
    with metrics_endpoint(None) as show:
        show("http://127.0.0.1:1/metrics")


def test_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = MetricsAddress("127.0.0.1", taken.getsockname()[1])
        problem = f"port {at.port} is not free (Address already in use); give another one"
        assert at.problem() == ("--metrics-port", problem)
        with (
            pytest.raises(StartError, match=rf"^--metrics-port: port {at.port} is not free \(.*\); give another one"),
            metrics_endpoint(at),
        ):
            pass


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid"])  # of documentation, and of no machine
def test_address_of_another_machine_is_named(host: str) -> None:
    problem = MetricsAddress(host, free_port()).problem()
    assert problem is not None
    option, text = problem
    assert option == "--metrics-address"
    assert text.startswith(f"nothing can listen on {host} (")
    assert text.endswith("); give an address of this machine, or 0.0.0.0 for all")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_address_of_this_machine_is_taken(host: str, exporter: str) -> None:
    at = MetricsAddress(host, free_port())
    assert at.problem() is None
    with metrics_endpoint(at) as show:
        show(exporter)
        assert code(at.port, "/metrics") == 200


def handle(error: Exception) -> None:
    """As the server's thread does after `error`."""
    try:
        raise error
    except Exception:
        _Server.handle_error(object.__new__(_Server), object(), "127.0.0.1")


def test_scraper_that_leaves_prints_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    handle(BrokenPipeError())
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")


def test_bug_of_a_scrape_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    handle(KeyError("x"))
    assert caplog.messages == ["BUG: a scrape of the metrics failed: KeyError('x')"]
