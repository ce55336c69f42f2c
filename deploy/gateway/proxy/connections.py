"""Bounds what a connection to Serve's HTTP server may cost before its request reaches the gateway.

uvicorn, the server, bounds idle connections only: neither the time and the size of a request's head, nor the number of
connections. Serve passes no such option to uvicorn.
"""

import asyncio
import re
import resource
from typing import Any

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 30.0
MAX_HEAD_BYTES = 65_536  # as h11, uvicorn's other parser
MAX_SHARE = 0.75  # of this process's file descriptors; Ray needs some of the others
_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", re.DOTALL)


def max_connections() -> int:
    """Connections that this process takes at once."""
    return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0] * MAX_SHARE)


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose next request must have its head in `HEAD_S` seconds, and in `MAX_HEAD_BYTES`.

    The bytes between two parts of a body, and the trailers after it, have the same bound. Trailers are dropped. The
    rest of a body whose request is already answered has the same time: uvicorn reads the rest and drops it.
    A target such as `http://host/path` takes the place of the header Host, as RFC 9112 (3.2.2) demands.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._in_head, self._field_bytes = True, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > max_connections():
            transport.abort()
        else:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._field_bytes += len(data)
        super().data_received(data)
        if self._field_bytes > MAX_HEAD_BYTES:
            self._end(_LARGE if self._may_answer() else b"")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._expect()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # uvicorn would add trailers to the headers of the running request
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._field_bytes = False, 0
        self._expect_nothing()
        self._take_target()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._field_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._field_bytes = 0
        self._expect_nothing()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body:
            self._expect()

    def _take_target(self) -> None:
        """Make an absolute target a path, and its host the value of Host. Several Hosts stay several."""
        if found := _ABSOLUTE.fullmatch(self.url):
            host, rest = found.groups()
            self.url = rest if rest.startswith(b"/") else b"/" + rest
            self.headers[:] = [(name, host if name == b"host" else value) for name, value in self.headers]

    def _may_answer(self) -> bool:
        """Whether no answer of a request before stands or comes between the client and an answer now."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        return not (self._in_head or cycle.response_started or self.pipeline)

    def _expect(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._late)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._expect_nothing()
        if self.cycle is not None and not self.cycle.response_complete:  # the request before has its time first
            self._expect()
        else:
            self._end(_LATE if self._in_head else b"")

    def _end(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


def bound_connections() -> None:
    """Make each uvicorn that starts in this process use `BoundedProtocol`."""
    auto.AutoHTTPProtocol = BoundedProtocol
