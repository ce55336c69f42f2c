"""Bounds the requests in flight, counts all requests, and answers 500 to a request that meets a bug."""

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labelstream.deploy.control.reports import RequestCounts
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.served import Busy, NotReady, RequestRefused
from labelstream.deploy.gateway.server.access import HEALTH
from labelstream.workers.histogram import Histogram

logger = logging.getLogger(__name__)
DRAIN_POLL_S = 0.05


class Requests:
    """The requests of one gateway replica, at most `max_requests` at once. Belongs to one thread but for `counts`."""

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self.in_flight = 0
        self.draining = False
        self._requests: Counter[tuple[str, int]] = Counter()
        self._latency_s: dict[str, Histogram] = {}

    @contextmanager
    def one(self) -> Iterator[None]:
        """Context of one request. Raises NotReady while the gateway stops, and Busy if too many are in flight."""
        if self.draining:
            raise NotReady("the gateway is stopping; send the request again")
        if self.in_flight >= self._max_requests:
            raise Busy(f"{self.in_flight} requests are in flight; send the request again later")
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new requests, and wait for those in flight. True if all were answered in time."""
        self.draining = True
        try:
            async with asyncio.timeout(timeout_s):
                while self.in_flight:
                    await asyncio.sleep(DRAIN_POLL_S)
        except TimeoutError:
            return False
        return True

    def answered(self, dialect: str, status: int, latency_s: float) -> None:
        self._requests[dialect, status] += 1
        self._latency_s.setdefault(dialect, Histogram()).observe(latency_s)

    def counts(self) -> RequestCounts:
        """Counts since the start."""
        requests: dict[str, dict[str, int]] = {}
        for (dialect, status), count in sorted(self._requests.copy().items()):
            requests.setdefault(dialect, {})[str(status)] = count
        latency_s = {dialect: histogram.buckets() for dialect, histogram in self._latency_s.copy().items()}
        return {"in_flight": self.in_flight, "requests": requests, "latency_s": latency_s}


class Ongoing:
    """ASGI middleware. Health checks are neither bounded nor counted."""

    def __init__(
        self, app: ASGIApp, envelopes: Envelopes, requests: Requests, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._envelopes, self._requests, self._clock = app, envelopes, requests, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["path"] in HEALTH and not self._requests.draining):
            await self._app(scope, receive, send)
            return
        began, dialect, started = self._clock(), self._envelopes.dialect(scope["path"]), False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._requests.answered(dialect, message["status"], self._clock() - began)
            await send(message)

        try:
            with self._requests.one():
                await self._app(scope, receive, counted)
        except RequestRefused as error:
            await self._envelopes.response(scope["path"], error)(scope, receive, counted)
        except Exception as error:  # the log has no text of the error, which may quote a message
            logger.error("BUG: a request failed: %s at %s", type(error).__name__, _place(error))
            if not started:
                bug = RequestRefused(f"BUG: {type(error).__name__}; see the gateway's log")
                await self._envelopes.response(scope["path"], bug)(scope, receive, counted)


def _place(error: Exception) -> str:
    """File and line of the code that raised `error`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown line"
