"""The page's files and its stream of events."""

from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from labelstream.deploy.gateway.envelopes import DialectRouter, PlainError, plain_error
from labelstream.deploy.gateway.page.event_stream import EventStream
from labelstream.deploy.gateway.page.feed import Feed
from labelstream.deploy.gateway.served import Forbidden, UnknownPath

FILES = Path(__file__).parent / "files"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
INDEX = "index.html"
# Nothing is loaded from other hosts, and no script or style stands in the page itself.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Page:
    """The page of one gateway replica.

    - `needs_token`: the page asks for the token, and sends the token with each request for data.
    - `stopping`: whether the gateway stops.
    """

    def __init__(self, feed: Feed, needs_token: bool, stopping: Callable[[], bool]) -> None:
        self.feed, self._stopping = feed, stopping
        self._files = {path.name: path.read_bytes() for path in FILES.iterdir() if path.suffix in TYPES}
        if needs_token:
            self._files[INDEX] = self._files[INDEX].replace(b'data-token="no"', b'data-token="yes"')

        # The files hold no data.
        self.paths = frozenset(f"/page/{name}" for name in self._files)

    def router(self) -> DialectRouter:
        """The files and the events."""
        routes = DialectRouter(plain_error, PlainError, by_model=False)
        routes.name = "page"
        routes.add_api_route("/page/events", self.events, include_in_schema=False)
        routes.add_api_route("/page/{name}", self.file, include_in_schema=False)
        return routes

    async def index(self) -> Response:
        """The HTML page."""
        return await self.file(INDEX)

    async def file(self, name: str) -> Response:
        """A file of the page, the same for everybody. Raises UnknownPath."""
        if name not in self._files:
            raise UnknownPath("no such path; see /docs")
        return Response(self._files[name], media_type=TYPES[Path(name).suffix], headers=HEADERS)

    async def events(self, request: Request) -> Response:
        """The live numbers. Raises Forbidden for a web page of another site, which could take all places of viewers."""
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Forbidden("another site asks for the page's events; open the gateway's own address in the browser")
        return EventStream(self.feed, self._stopping)
