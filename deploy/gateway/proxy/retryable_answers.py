"""Answers 503 where Serve's proxy has no answer of the gateway: a replica died, or does not run yet."""

import json
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH = "/-/healthz"
logger = logging.getLogger("ray.serve")
_TEXT = "no gateway answers; send the request again"
_OWN = {"schema_version": 1, "reason": "not_ready", "message": _TEXT}
_OTHER = {"error": _TEXT, "error_type": "Unhealthy", "message": _TEXT}  # fields of the other dialects' errors


class RetryableAnswers:
    """ASGI middleware: 503 with Retry-After in place of no answer, an exception, and Serve's own 404, 500 and 503.

    Serve gives no answer if the replica dies. Its own errors are plain texts, and the gateway's are JSON. The gateway
    has all paths: Serve's 404 means that the gateway does not run yet. A request changes nothing, so a client may
    repeat each.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == HEALTH:
            await self._app(scope, receive, send)
            return
        started = replaced = False

        async def answer(message: Message) -> None:
            nonlocal started, replaced
            if message["type"] == "http.response.start" and _is_serves_error(message):
                started = replaced = True
                await _send_503(scope, send)
            elif not replaced:
                started = True
                await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            if started:  # the HTTP server closes the connection
                raise
            logger.warning("a request failed in the proxy: %s", type(error).__name__)
        if not started:
            await _send_503(scope, send)


async def _send_503(scope: Scope, send: Send) -> None:
    body = json.dumps(_OWN if scope["path"].endswith("/classify") else _OTHER).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_serves_error(message: Message) -> bool:
    headers = {bytes(name).lower(): bytes(value) for name, value in message["headers"]}
    return message["status"] in (404, 500, 503) and headers.get(b"content-type", b"").startswith(b"text/plain")
