"""When the stream of events ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from labelstream.deploy.gateway.page import event_stream
from labelstream.deploy.gateway.page.event_stream import LIFE_S, EventStream
from labelstream.deploy.gateway.served import NotReady
from tests.support.clock import Clock
from tests.support.page import fake_feed

pytestmark = pytest.mark.anyio


async def forever() -> Any:
    await asyncio.Event().wait()


class Client:
    """Takes what is sent. `on_body`: called with each part of the body."""

    def __init__(self, on_body: Callable[[], Awaitable[None]] | None = None) -> None:
        self.sent: list[Any] = []
        self._on_body = on_body

    async def __call__(self, message: Any) -> None:
        self.sent.append(message)
        if self._on_body is not None and message.get("body"):
            await self._on_body()


async def test_stream_ends_when_the_gateway_stops() -> None:
    feed, _ = fake_feed()
    stopping = False

    async def stop() -> None:
        nonlocal stopping
        stopping = True

    client = Client(stop)
    await EventStream(feed, lambda: stopping)({}, forever, client)
    start, first, last = client.sent
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"text/event-stream"
    assert b"content-length" not in headers
    assert first["body"].startswith(b"event: about\ndata: {")
    assert not last.get("more_body")


async def test_gone_viewer_gives_its_place_back() -> None:
    feed, _ = fake_feed(max_requests=1)

    async def disconnect() -> Any:
        return {"type": "http.disconnect"}

    await EventStream(feed, lambda: False)({}, disconnect, Client())
    with feed.viewer():
        pass


async def test_stream_ends_after_its_life() -> None:
    feed, _ = fake_feed()
    clock = Clock()

    async def later() -> None:
        clock.now += LIFE_S

    client = Client(later)
    await EventStream(feed, lambda: False, clock)({}, forever, client)
    assert len(client.sent) == 3


async def test_viewer_that_reads_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SEND_S", 0.01)
    feed, _ = fake_feed(max_requests=1)
    client = Client(forever)
    await EventStream(feed, lambda: False)({}, forever, client)
    assert len(client.sent) == 2  # without the end of the body: the connection is closed
    with feed.viewer():
        pass


async def test_viewer_above_the_bound_gets_no_response() -> None:
    feed, _ = fake_feed(max_requests=1)
    client = Client()
    with feed.viewer(), pytest.raises(NotReady):
        await EventStream(feed, lambda: False)({}, forever, client)
    assert client.sent == []
