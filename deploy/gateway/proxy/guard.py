"""Runs in Serve's HTTP proxy, before a request reaches the gateway.

Serve's proxy answers `/-/routes` by itself, without the gateway's token. Clients could also set the proxy's own
headers: one of them keeps a call running after its client is gone.
"""

from collections.abc import Iterable, Iterator

from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from labelstream.deploy.gateway.proxy.connections import bound_connections
from labelstream.deploy.gateway.proxy.retryable_answers import HEALTH, RetryableAnswers

# Serve imports the function that this names in each proxy, and reads the variable at import.
VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
IMPORT_PATH = "labelstream.deploy.gateway.proxy.guard:middlewares"
REQUEST_ID = "x-request-id"
PROXY_HEADERS = frozenset(
    {"x-request-timeout-seconds", "x-request-disconnect-disabled", "serve-multiplexed-model-id", "x-session-id"}
)


def middlewares() -> list[Middleware]:
    """See `IMPORT_PATH`. Also bounds the connections of this process's HTTP server."""
    bound_connections()
    return [Middleware(RetryableAnswers), Middleware(ProxyGuard)]


class ProxyGuard:
    """ASGI middleware: hides Serve's own paths but the health check, refuses websockets, and removes the proxy's own
    headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing uses them, and they have no token
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            if _is_serves(scope["path"]):
                await JSONResponse({"error": "no such path; see /docs"}, 404)(scope, receive, send)
                return
            scope = {**scope, "headers": list(_passed(scope["headers"]))}
        await self._app(scope, receive, send)


def _is_serves(path: str) -> bool:
    """Whether Serve answers `path` by itself, with a text about its routes. `OPTIONS *` has a path without /."""
    return path != HEALTH and (path.startswith("/-/") or not path.startswith("/"))


def _passed(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The headers without the proxy's own, and without a request id that Serve could not read."""
    for name, value in headers:
        key = _key(name)
        if key not in PROXY_HEADERS and (key != REQUEST_ID or value.isascii()):
            yield name, value


def _key(name: bytes) -> str:
    """Serve reads _ as -."""
    return name.decode("latin-1").lower().replace("_", "-")
