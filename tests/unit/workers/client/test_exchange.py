import httpx2
import pytest

from labelstream.workers.client.exchange import Gateway, left_s, read
from labelstream.workers.errors import GatewayError, GatewayUnavailable

GATEWAY = Gateway("http://localhost:8000/", "secret", 60.0, None)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://localhost", "http://", ""])
def test_url_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no address; give one such as http://localhost:8000"):
        Gateway(url, None, 60.0, None)


def test_timeout_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="timeout_s must be above 0, not 0"):
        Gateway("http://localhost", None, 0, None)


@pytest.mark.parametrize(
    ("model", "order", "path"),
    [
        (None, None, "http://localhost:8000/classify"),
        ("m", None, "http://localhost:8000/models/m/classify"),
        ("a/b c", "model", "http://localhost:8000/models/a%2Fb%20c/classify?scores_order=model"),
    ],
)
def test_path_names_model_and_order(model: str | None, order: object, path: str) -> None:
    assert GATEWAY.path(model, order) == path  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("response", "kind", "text", "reason"),
    [
        (
            httpx2.Response(404, json={"reason": "unknown_model", "message": "no model x"}),
            GatewayError,
            "404: no model x",
            "unknown_model",
        ),
        (httpx2.Response(401, json={"error": "no token"}), GatewayError, "401: no token", ""),
        (httpx2.Response(502, text="<html>" + "x" * 999), GatewayError, "502: <html>" + "x" * 194, ""),
        (httpx2.Response(200, text="<html>"), GatewayError, "200: <html>", ""),
        (httpx2.Response(503, text=""), GatewayUnavailable, "503: Service Unavailable", ""),
        (httpx2.Response(429, json={"message": "busy"}), GatewayUnavailable, "429: busy", ""),
        (httpx2.Response(500, json=["x"]), GatewayError, '500: ["x"]', ""),
    ],
)
def test_error_has_status_and_reason(response: httpx2.Response, kind: type, text: str, reason: str) -> None:
    with pytest.raises(GatewayError) as caught:
        read(response)
    error = caught.value
    assert (type(error), str(error), error.reason, error.status) == (kind, text, reason, response.status_code)
    assert error.retriable == (kind is GatewayUnavailable)


@pytest.mark.parametrize(("value", "seconds"), [("3", 3.0), ("x", None), ("9999999", None), (None, None)])
def test_retry_after_is_the_wait(value: str | None, seconds: float | None) -> None:
    with pytest.raises(GatewayUnavailable) as caught:
        read(httpx2.Response(503, headers={} if value is None else {"retry-after": value}))
    assert caught.value.retry_after_s == seconds


def test_late_answer_is_not_asked_for_again() -> None:
    late = GATEWAY.unreachable(httpx2.ReadTimeout("timed out"))
    assert (type(late), str(late)) == (GatewayError, "http://localhost:8000: no answer in 60 s; raise timeout_s")


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout(""), httpx2.ReadError("")])
def test_lost_connection_may_be_tried_again(error: httpx2.TransportError) -> None:
    found = GATEWAY.unreachable(error)
    assert isinstance(found, GatewayUnavailable)
    assert str(found).startswith("http://localhost:8000: ")
    assert f"({type(error).__name__}" in str(found)


def test_attempt_after_the_deadline_has_a_short_timeout() -> None:
    assert left_s(0.0) == 0.1
    assert 50 < left_s(GATEWAY.deadline()) <= 60
