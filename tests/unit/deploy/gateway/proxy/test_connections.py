import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from fastapi import FastAPI, Request
from uvicorn.protocols.http import auto

from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.proxy import connections
from labelstream.deploy.gateway.proxy.connections import MAX_HEAD_BYTES, bound_connections
from labelstream.deploy.gateway.server.access import Access
from tests.support.gateway import serving

WAIT_S = 10.0
GET = b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server whose connections have 0.3 s for the head of a request."""
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    bound_connections()
    app = FastAPI()

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.6)
        return "done"

    @app.post("/refused")
    async def refused() -> str:
        return "not read"

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.get("/")
    @app.get("/target")
    async def target(request: Request) -> dict[str, object]:
        return {"hosts": request.headers.getlist("host"), "path": request.url.path, "query": request.url.query}

    with serving(app) as url:
        yield int(url.rpartition(":")[2])


def answer(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """All that the server sends until the server closes the connection. `pause_s`: after each part."""
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause_s)
        found = b""
        while part := client.recv(65_536):
            found += part
    return found


def test_head_that_does_not_end_is_408(port: int) -> None:
    assert answer(port, b"GET / HTTP/1.1\r\nhost: local").startswith(b"HTTP/1.1 408 ")


def test_connection_without_a_request_is_closed(port: int) -> None:
    assert answer(port).startswith(b"HTTP/1.1 408 ")


def test_large_head_is_431(port: int) -> None:
    head = b"GET / HTTP/1.1\r\nx: " + b"x" * (MAX_HEAD_BYTES + 1)
    assert answer(port, head).startswith(b"HTTP/1.1 431 ")


def test_request_that_takes_longer_than_its_head_is_answered(port: int) -> None:
    found = answer(port, GET)
    assert found.startswith(b"HTTP/1.1 200 ")
    assert b'"done"' in found


def test_second_request_needs_its_head_as_well(port: int) -> None:
    found = answer(port, GET + b"GET / HT")
    assert found.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in found


def test_rest_of_an_answered_body_has_the_time_of_a_head(port: int) -> None:
    found = answer(port, b"POST /refused HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
    assert found.startswith(b"HTTP/1.1 200 ")
    assert b" 408 " not in found


def test_large_body_is_read(port: int) -> None:
    body = b"x" * 10 * MAX_HEAD_BYTES
    head = b"POST /read HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    assert answer(port, head, body).endswith(str(len(body)).encode())


CHUNKED = b"POST /read HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("before", "field"),
    [(b"0\r\n", b"x: x\r\n"), (b"0\r\n", b"x"), (b"1;", b"x")],
    ids=["trailers", "one trailer", "extension of a chunk"],
)
def test_large_fields_after_the_head_are_431(port: int, before: bytes, field: bytes) -> None:
    large = field * (MAX_HEAD_BYTES // len(field) + 1)
    found = answer(port, CHUNKED + b"1\r\nx\r\n" + before, large, pause_s=0.1)
    assert found.startswith(b"HTTP/1.1 431 ")


def test_trailers_are_dropped(port: int) -> None:
    head = CHUNKED.replace(b"POST /read", b"GET /target")
    found = answer(port, head + b"1\r\nx\r\n0\r\nhost: evil.example\r\n\r\n")
    assert json.loads(found.partition(b"\r\n\r\n")[2])["hosts"] == ["localhost"]


def test_body_in_many_small_chunks_is_read(port: int) -> None:
    chunks = b"1\r\nx\r\n" * MAX_HEAD_BYTES
    assert answer(port, CHUNKED, chunks, b"0\r\nx: x\r\n\r\n").endswith(b"\r\n\r\n%d" % MAX_HEAD_BYTES)


def test_large_head_behind_a_request_in_flight_gets_no_answer(port: int) -> None:
    large = b"GET / HTTP/1.1\r\nx: " + b"x" * MAX_HEAD_BYTES
    with suppress(ConnectionError):  # a reset is as good as an end
        assert answer(port, GET, large, pause_s=0.1) == b""


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        ("http://evil.example:80/target?a=b", "evil.example:80", "/target", "a=b"),
        ("HTTP://evil.example", "evil.example", "/", ""),
        ("http://evil.example?a=http://b/", "evil.example", "/", "a=http://b/"),
        ("http://me@[::1]:8000/target", "me@[::1]:8000", "/target", ""),
        ("/target?a=http://evil.example/", "localhost", "/target", "a=http://evil.example/"),
    ],
)
def test_host_of_an_absolute_target_precedes_the_header(
    port: int, target: str, host: str, path: str, query: str
) -> None:
    found = answer(port, f"GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    assert json.loads(found.partition(b"\r\n\r\n")[2]) == {"hosts": [host], "path": path, "query": query}


def test_several_hosts_stay_several_beside_an_absolute_target(port: int) -> None:
    head = b"GET http://localhost/target HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n"
    assert json.loads(answer(port, head).partition(b"\r\n\r\n")[2])["hosts"] == ["localhost", "localhost"]


def test_access_judges_the_host_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    bound_connections()
    app = FastAPI()
    app.add_middleware(Access, envelopes=Envelopes(app), token=None, hosts=["localhost"])
    with serving(app) as url:
        head = b"GET http://%s/ HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n"
        port = int(url.rpartition(":")[2])
        assert answer(port, head % (b"evil.example", b"localhost")).startswith(b"HTTP/1.1 403 ")
        assert answer(port, head % (b"localhost", b"evil.example")).startswith(b"HTTP/1.1 404 ")


def test_connections_beyond_the_bound_are_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "max_connections", lambda: 0)
    with suppress(ConnectionError):  # a reset is as good as an end
        assert answer(port, GET) == b""
