"""Serves the metrics of a local Ray at an address that a Prometheus can reach, and nothing else."""

import logging
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from labelstream.deploy.cluster import network
from labelstream.workers.errors import StartError

logger = logging.getLogger(__name__)
TIMEOUT_S = 10.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class MetricsAddress(NamedTuple):
    """Where metrics are served. `host`: a name or address of this machine; 0.0.0.0 or :: for all of them."""

    host: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        return network.family_of(self.host)

    def problem(self) -> tuple[str, str] | None:
        """The option at fault and the problem if nothing can listen there; else None."""
        error = network.listen_error(self.host, self.port)
        return None if error is None else self.explained(error)

    def explained(self, error: OSError) -> tuple[str, str]:
        if network.is_of_port(error):
            return "--metrics-port", f"port {self.port} is not free ({error.strerror}); give another one"
        fix = "give an address of this machine, or 0.0.0.0 for all"
        return "--metrics-address", f"nothing can listen on {self.host} ({error.strerror}); {fix}"


@contextmanager
def metrics_endpoint(at: MetricsAddress | None) -> Iterator[Callable[[str], None]]:
    """Serve /metrics at `at`, from the URL that the caller passes later; None: serve nothing.

    Raises StartError if nothing can listen at `at`.
    """
    if at is None:
        yield lambda url: None
        return
    source: list[str] = []
    server_type = type("Server", (_Server,), {"address_family": at.family})
    try:
        server = server_type(at, _handler(source))
    except OSError as error:
        raise StartError(": ".join(at.explained(error))) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield source.append
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Called in an except block. The default prints a traceback, also for a scraper that has gone."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            logger.error("BUG: a scrape of the metrics failed: %r", error)


def _handler(source: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S  # for a client that sends nothing

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            try:
                with _DIRECT.open(source[0], timeout=TIMEOUT_S) as found:
                    kind, body = found.headers["Content-Type"], found.read()
            except (OSError, IndexError):
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
