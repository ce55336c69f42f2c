import asyncio
import gzip
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.server.request_body import BODIES, RequestBody

pytestmark = pytest.mark.anyio

MAX = 100


async def answered(
    parts: Sequence[bytes], headers: dict[str, str] | None = None, ends: bool = True, timeout_s: float = 5.0
) -> tuple[int, bytes]:
    """Status and body for a request whose body comes in `parts`; without `ends`, the client then waits."""
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        return {"body": (await request.body()).decode(), "length": request.headers["content-length"]}

    body = RequestBody(app, Envelopes(app), MAX, timeout_s)
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends:
        messages[-1]["more_body"] = False
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    named = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/echo",
        "raw_path": b"/echo",
        "query_string": b"",
        "root_path": "",
        "headers": named,
    }
    await body(scope, receive, send)
    assert body._held_bytes == 0
    return (sent[0]["status"], sent[1]["body"]) if sent else (0, b"")


async def test_body_in_parts_is_whole() -> None:
    assert await answered([b"ab", b"cd", b""]) == (200, b'{"body":"abcd","length":"4"}')


async def test_large_body_is_413_by_its_length() -> None:
    status, _ = await answered([b"never read"], {"content-length": str(MAX + 1)})
    assert status == 413


async def test_large_body_in_chunks_is_413() -> None:
    status, body = await answered([b"x" * MAX, b"x"])
    assert status == 413
    assert b"more than 100 bytes" in body


async def test_largest_body_is_taken() -> None:
    status, _ = await answered([b"x" * MAX])
    assert status == 200


async def test_gzip_is_unpacked() -> None:
    packed = gzip.compress(b"abc")
    found = await answered([packed[:5], packed[5:]], {"content-encoding": "gzip", "content-length": str(len(packed))})
    assert found == (200, b'{"body":"abc","length":"3"}')


async def test_bomb_is_413() -> None:
    status, _ = await answered([gzip.compress(b"x" * 1_000_000)], {"content-encoding": "gzip"})
    assert status == 413


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not gzip", b"is not gzip"),
        (gzip.compress(b"abc")[:-9], b"is cut off"),
        (gzip.compress(b"a") * 2, b"follow the end"),
    ],
    ids=["other bytes", "cut off", "two members"],  # gzip holds the time, and both processes need the same ids
)
async def test_broken_gzip_is_400(body: bytes, words: bytes) -> None:
    status, text = await answered([body], {"content-encoding": "gzip"})
    assert status == 400
    assert words in text


async def test_other_encoding_is_415() -> None:
    status, _ = await answered([b"x"], {"content-encoding": "br"})
    assert status == 415


async def test_slow_body_is_408() -> None:
    status, body = await answered([b"x"], ends=False, timeout_s=0.01)
    assert status == 408
    assert b"not complete after 0.01 s" in body


async def test_all_bodies_together_are_bounded() -> None:
    app = FastAPI()
    body = RequestBody(app, Envelopes(app), MAX, 5.0)
    body._held_bytes = BODIES * MAX
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await body({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)

    assert sent[0]["status"] == 429
