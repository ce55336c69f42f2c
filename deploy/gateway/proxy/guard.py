"""Runs in Serve's HTTP proxy, before a request reaches the gateway.

Serve's proxy answers `/-/routes` by itself, without the gateway's token. Clients could also set the proxy's own
headers: one of them keeps a call running after its client is gone.
"""

from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# Serve imports the function that this names in each proxy, and reads the variable at import.
VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
IMPORT_PATH = "labelstream.deploy.gateway.proxy.guard:middlewares"
HEALTH = "/-/healthz"
PROXY_HEADERS = frozenset(
    {"x-request-timeout-seconds", "x-request-disconnect-disabled", "serve-multiplexed-model-id", "x-session-id"}
)


def middlewares() -> list[Middleware]:
    """See `IMPORT_PATH`."""
    return [Middleware(ProxyGuard)]


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
            headers = [(name, value) for name, value in scope["headers"] if _key(name) not in PROXY_HEADERS]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


def _is_serves(path: str) -> bool:
    """Whether Serve answers `path` by itself, with a text about its routes. `OPTIONS *` has a path without /."""
    return path != HEALTH and (path.startswith("/-/") or not path.startswith("/"))


def _key(name: bytes) -> str:
    """Serve reads _ as -."""
    return name.decode("latin-1").lower().replace("_", "-")
