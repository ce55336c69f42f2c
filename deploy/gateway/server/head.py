"""Answers HEAD as GET; the HTTP server leaves the body out."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadAsGet:
    """ASGI middleware. FastAPI's routes do not take HEAD, which health checks of load balancers send.

    `headers_only` in the scope tells a response without end that nobody reads its body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", "headers_only": True}
        await self._app(scope, receive, send)
