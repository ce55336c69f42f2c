"""Reads the body of a request before its route runs: bounded in bytes and in time, and unpacked."""

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.served import Busy, NotJson, RequestRefused, SlowBody, TooLarge, UnsupportedEncoding
from labelstream.deploy.gateway.server.headers import headers_of

BODIES = 16  # bodies of the largest size that the gateway holds at once
GZIP = 16 + zlib.MAX_WBITS
# Of the next part of a body, the most bytes to return, and whether the part is the last.
Unpack = Callable[[bytes, int, bool], bytes]


class RequestBody:
    """ASGI middleware. `max_bytes`: of an unpacked body. `timeout_s`: until the body is complete."""

    def __init__(self, app: ASGIApp, envelopes: Envelopes, max_bytes: int, timeout_s: float) -> None:
        self._app, self._envelopes, self._max_bytes, self._timeout_s = app, envelopes, max_bytes, timeout_s
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        held: list[int] = []
        try:
            body = await self._body(scope, receive, held)
            if body is not None:
                await self._app(_unpacked(scope, len(body)), _again(body, receive), send)
        except RequestRefused as error:
            await self._envelopes.response(scope["path"], error)(scope, receive, send)
        finally:
            self._held_bytes -= sum(held)

    async def _body(self, scope: Scope, receive: Receive, held: list[int]) -> bytes | None:
        """The unpacked body; None if the client is gone. `held`: gets the sizes that count as held."""
        headers = headers_of(scope)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes:
            raise self._too_large()
        unpack = _unpacker(headers.get("content-encoding", "").strip().lower())
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(self._timeout_s):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    more = message.get("more_body", False)
                    part = unpack(message.get("body", b""), self._max_bytes + 1 - size, not more)
                    size += len(part)
                    if size > self._max_bytes:
                        raise self._too_large()
                    if self._held_bytes + len(part) > BODIES * self._max_bytes:
                        raise Busy("the gateway holds too many large requests; send the request again later")
                    self._held_bytes += len(part)
                    held.append(len(part))
                    parts.append(part)
        except TimeoutError:
            raise SlowBody(f"the body was not complete after {self._timeout_s:g} s") from None
        return b"".join(parts)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the body has more than {self._max_bytes} bytes; send fewer texts, or raise http.max_request_bytes"
        )


def _unpacker(encoding: str) -> Unpack:
    if encoding in ("", "identity"):
        return lambda part, max_bytes, is_last: part
    if encoding != "gzip":
        raise UnsupportedEncoding("content-encoding: only gzip is unpacked; send gzip or no encoding")
    stream = zlib.decompressobj(GZIP)

    def unpack(part: bytes, max_bytes: int, is_last: bool) -> bytes:
        try:
            found = stream.decompress(part, max_bytes)
        except zlib.error:
            raise NotJson("the body is not gzip, which its content-encoding names") from None
        if stream.unused_data:
            raise NotJson("bytes follow the end of the gzip body; send one gzip stream")
        if is_last and len(found) < max_bytes and not stream.eof:
            raise NotJson("the gzip body is cut off; send all of it")
        return found

    return unpack


def _unpacked(scope: Scope, size: int) -> Scope:
    """`scope` with the headers of an unpacked body of `size` bytes."""
    left = [
        (name, value)
        for name, value in scope["headers"]
        if name.lower() not in (b"content-encoding", b"content-length", b"transfer-encoding")
    ]
    return {**scope, "headers": [*left, (b"content-length", str(size).encode())]}


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the whole `body`, and then what `receive` gives."""
    first: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return first.pop() if first else await receive()

    return next_message
