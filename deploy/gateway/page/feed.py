"""The numbers of the page, asked once for all viewers, as server-sent events."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from labelstream.deploy.control.reports import PageStatus
from labelstream.deploy.control.summary import StatusView
from labelstream.deploy.gateway.page.label_windows import LabelWindows
from labelstream.deploy.gateway.page.snapshot import snapshot
from labelstream.deploy.gateway.served import NotReady

logger = logging.getLogger(__name__)
WATCHED_S, UNWATCHED_S = 1.0, 5.0  # between two questions; without viewers only the charts go on
MAX_VIEWERS, SHARE = 64, 4  # of a gateway replica; at most one request in SHARE is a viewer
EVENTS = 8  # that may wait for a slow viewer
RETRY_AFTER_S = 10.0
UNREACHABLE = "the control plane does not answer; the numbers are old"
Source = Callable[[], Awaitable[PageStatus]]


class Viewer:
    """The events of one viewer. Belongs to the event loop of its feed."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[bytes] = asyncio.Queue(EVENTS)
        self.dropped = False

    def put(self, event: bytes) -> None:
        """Drops the viewer if EVENTS wait."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped = True

    async def next(self, timeout_s: float) -> bytes | None:
        """The next event; None if there is none in time."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._events.get()
        except TimeoutError:
            return None


class Feed:
    """Asks `source` once for all viewers. Belongs to one event loop.

    - `about`: what never changes, for the first event.
    - `max_requests`: `http.max_ongoing_requests`.
    """

    def __init__(self, source: Source, about: Mapping[str, Any], max_requests: int) -> None:
        self._source = source
        self._about = _event("about", about)
        self._max_viewers = max(1, min(MAX_VIEWERS, max_requests // SHARE))
        self._view, self._windows = StatusView(), LabelWindows()
        self._last: bytes | None = None
        self._viewers: set[Viewer] = set()
        self._watched = asyncio.Event()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._ask()
            if self._viewers:
                await asyncio.sleep(WATCHED_S)
                continue
            self._watched.clear()
            try:
                async with asyncio.timeout(UNWATCHED_S):
                    await self._watched.wait()
            except TimeoutError:
                pass

    @contextmanager
    def viewer(self) -> Iterator[Viewer]:
        """Context of one viewer, who first gets the latest numbers. Raises NotReady if there are too many."""
        if len(self._viewers) >= self._max_viewers:
            raise NotReady(f"{len(self._viewers)} viewers have the page open; try again later", RETRY_AFTER_S)
        viewer = Viewer()
        viewer.put(self._about + _event("history", list(self._windows.latest)) + (self._last or b""))
        self._viewers.add(viewer)
        self._watched.set()
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    async def _ask(self) -> None:
        try:
            status = await self._source()
            pipelines, models = self._view.pipelines(status), self._view.models(status)
            window = self._windows.add(status, pipelines)
            self._last = _event("status", snapshot(status, pipelines, models))
        except Exception as error:  # the page is not worth the gateway's life
            logger.debug("no numbers for the page: %s", type(error).__name__)
            self._tell(_event("trouble", {"text": UNREACHABLE}))
            return
        self._tell(self._last if window is None else self._last + _event("window", window))

    def _tell(self, event: bytes) -> None:
        for viewer in self._viewers:
            viewer.put(event)


def _event(name: str, data: Any) -> bytes:
    """A server-sent event. JSON has no line breaks."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
