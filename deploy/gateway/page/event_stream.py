"""The response that sends the events of a feed to one viewer."""

import asyncio
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from labelstream.deploy.gateway.page.feed import Feed

LIFE_S = 600.0  # then the browser connects again: bounds what waits for a viewer who reads nothing
CHECK_S, SEND_S = 1.0, 10.0
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy such as nginx passes each event at once
    "X-Content-Type-Options": "nosniff",
}


class EventStream(Response):
    """Ends when the viewer is gone or too slow, when the gateway stops, and after LIFE_S.

    - `stopping`: whether the gateway stops.

    Raises NotReady, when it is sent, if the feed has too many viewers.
    """

    def __init__(self, feed: Feed, stopping: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._feed, self._stopping, self._clock = feed, stopping, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("headers_only"):
            await super().__call__(scope, receive, send)
            return
        with self._feed.viewer() as viewer:
            gone = asyncio.ensure_future(_disconnected(receive))
            until = self._clock() + LIFE_S
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                while not (gone.done() or viewer.dropped or self._stopping() or self._clock() >= until):
                    if event := await viewer.next(CHECK_S):
                        async with asyncio.timeout(SEND_S):
                            await send({"type": "http.response.body", "body": event, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            except (OSError, TimeoutError):
                pass  # the viewer is gone, or reads nothing
            finally:
                gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
