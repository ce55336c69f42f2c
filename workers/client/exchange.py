"""One request and its response: the address, errors by status, and when to try again."""

import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
from tenacity import RetryCallState, retry_if_exception_type, stop_before_delay, wait_random_exponential

from labelstream.workers.client.messages import Order
from labelstream.workers.errors import GatewayError, GatewayUnavailable

_RETRIED = (429, 503)
_WAIT = wait_random_exponential(multiplier=0.1, max=5.0)
_MAX_ERROR_CHARS = 200  # of a body that is no JSON, such as a proxy's page


class Gateway:
    """How to reach one gateway. Raises ValueError if `url` is no address of HTTP.

    - `token`: for `Authorization: Bearer`.
    - `timeout_s`: of one request, over all attempts.
    - `ca_file`: PEM file of the authority that signed the gateway's certificate; None: those of the system.
    """

    def __init__(self, url: str, token: str | None, timeout_s: float, ca_file: str | Path | None) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"url {url!r} is no address; give one such as http://localhost:8000")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s}")
        self.url, self.timeout_s = url.rstrip("/"), timeout_s
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        verify: Any = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
        self.options: dict[str, Any] = {"headers": headers, "verify": verify}
        self.retrying: dict[str, Any] = {
            "stop": stop_before_delay(timeout_s),
            "wait": _wait_s,
            "retry": retry_if_exception_type(GatewayUnavailable),
            "reraise": True,
        }

    def deadline(self) -> float:
        """When a request that begins now must have its answer, in seconds of `time.monotonic`."""
        return time.monotonic() + self.timeout_s

    def path(self, model: str | None, order: Order | None) -> str:
        """The address of `POST /classify`."""
        place = "" if model is None else f"/models/{quote(model, safe='')}"
        return f"{self.url}{place}/classify" + ("" if order is None else f"?scores_order={order}")

    def unreachable(self, error: httpx2.TransportError) -> GatewayError:
        """The error of a request without a response. A late response is not asked for again."""
        cause = f"{type(error).__name__}" + f": {error}" * bool(str(error))
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            fix = "check the address, and the key http in the config of the running Labelstream"
            return GatewayUnavailable(f"{self.url}: no gateway answers ({cause}); {fix}")
        if isinstance(error, httpx2.TimeoutException):
            return GatewayError(f"{self.url}: no answer in {self.timeout_s:g} s; raise timeout_s", reason="late")
        return GatewayUnavailable(f"{self.url}: the connection broke ({cause}); try again")


def read(response: httpx2.Response) -> list[Any]:
    """The results in a successful response. Raises GatewayError, or GatewayUnavailable with its `retry_after_s`."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.status_code == 200 and isinstance(body, list):
        return body
    fields = body if isinstance(body, dict) else {}
    message = fields.get("message") or fields.get("error") or response.text[:_MAX_ERROR_CHARS] or response.reason_phrase
    kind = GatewayUnavailable if response.status_code in _RETRIED else GatewayError
    error = kind(f"{response.status_code}: {message}", response.status_code, str(fields.get("reason", "")))
    if isinstance(error, GatewayUnavailable):
        error.retry_after_s = _seconds(response.headers.get("retry-after"))
    raise error


def left_s(deadline: float) -> float:
    """Seconds until `deadline`, for the timeout of an attempt."""
    return max(0.1, deadline - time.monotonic())


def _wait_s(state: RetryCallState) -> float:
    """What the gateway asks for, else a random time that grows."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after_s", None)
    return _WAIT(state) if asked is None else asked


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isdigit() and len(value) < 6 else None
