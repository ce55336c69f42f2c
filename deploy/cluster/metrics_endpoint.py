"""What a local Ray shows of its metrics on loopback, shown to a Prometheus on other machines: nothing else."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from labelstream.workers.errors import StartError

TIMEOUT_S = 10.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def metrics_endpoint(port: int | None) -> Iterator[Callable[[str], None]]:
    """Serves /metrics on `port` of all interfaces, from the URL that the caller hands over; None: nothing.

    Raises StartError when the port is not free.
    """
    if port is None:
        yield lambda url: None
        return
    source: list[str] = []
    try:
        server = ThreadingHTTPServer(("", port), _handler(source))
    except OSError as error:
        raise StartError(f"port {port} for metrics is not free ({error.strerror}): give another one") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield source.append
    finally:
        server.shutdown()
        server.server_close()


def _handler(source: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S  # of a caller that says nothing

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
