"""Who may send requests: by the headers Host, Origin and Authorization."""

import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from labelstream.deploy.cluster.network import LOOPBACK
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.served import Forbidden, RequestRefused, Unauthorized
from labelstream.deploy.gateway.server.headers import headers_of

# These paths need neither a token nor an allowed Host: probes send the address of the pod. They name no model.
HEALTH = frozenset({"/health", "/ping", "/v2/health/live", "/v2/health/ready"})
_HOST = re.compile(r"(\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^][:@/]+))(:[0-9]*)?")
# These need no token: their answers hold no data, and a browser cannot send a token with its first request.
OPEN = HEALTH | {"/"}


def hosts_of(host: str, allowed_hosts: Sequence[str], token: bool) -> tuple[str, ...] | None:
    """The allowed values of Host; None: all. Without a token, a web page in a browser on this machine must not reach
    the gateway by a name of its own that resolves to 127.0.0.1 (DNS rebinding).
    """
    if allowed_hosts:
        return (*allowed_hosts, *LOOPBACK)
    return None if token else (host, *LOOPBACK)


class Access:
    """ASGI middleware.

    - `token`: what clients send as `Authorization: Bearer TOKEN`; None: nothing.
    - `hosts`: from `hosts_of`.
    - `origins`: web pages of other hosts that may send requests.
    - `open_paths`: answers to GET that hold no data and need no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        envelopes: Envelopes,
        token: str | None,
        hosts: Sequence[str] | None,
        origins: Sequence[str] = (),
        open_paths: Collection[str] = OPEN,
    ) -> None:
        self._app, self._envelopes, self._hosts, self._origins = app, envelopes, hosts, frozenset(origins)
        self._open = open_paths
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope["method"], scope["path"], headers_of(scope), _hosts(scope))
            except RequestRefused as error:
                await self._envelopes.response(scope["path"], error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, method: str, path: str, headers: Mapping[str, str], hosts: int) -> None:
        """Raises Forbidden or Unauthorized."""
        if path in HEALTH and method in ("GET", "HEAD"):
            return
        host = headers.get("host", "")
        if hosts > 1:
            raise Forbidden("the header Host is given several times; send it once")
        if self._hosts is not None and not any(_matches(_name(host), allowed) for allowed in self._hosts):
            raise Forbidden("the header Host is not allowed; add the host's name to http.allowed_hosts")
        origin = headers.get("origin")
        if origin is not None and _host_of(origin) != host and origin not in self._origins:
            raise Forbidden("the header Origin is not allowed; add the page's origin to http.cors_origins")
        if self._token is None or (path in self._open and method in ("GET", "HEAD")):
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), self._token):
            raise Unauthorized("the token is missing or wrong; send the header `Authorization: Bearer TOKEN`")


def _host_of(origin: str) -> str | None:
    """The origin's host and port; None if it is no origin."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _hosts(scope: Scope) -> int:
    """Number of headers Host."""
    return sum(name.lower() == b"host" for name, _ in scope["headers"])


def _name(host: str) -> str:
    """The value of Host without its port, in lower case; empty for a malformed value."""
    found = _HOST.fullmatch(host)
    return "" if found is None else (found["address"] or found["name"]).lower()


def _matches(name: str, allowed: str) -> bool:
    allowed = allowed.lower()
    return name.endswith(allowed[1:]) if allowed.startswith("*.") else name == allowed
