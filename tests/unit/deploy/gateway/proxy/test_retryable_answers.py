from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from labelstream.deploy.gateway.dialects.azure import ErrorMessage
from labelstream.deploy.gateway.dialects.tei.errors import ErrorResponse
from labelstream.deploy.gateway.envelopes import PlainError
from labelstream.deploy.gateway.proxy.retryable_answers import HEALTH, RetryableAnswers
from labelstream.schemas.request_error import RequestError


def client_of(app: ASGIApp) -> TestClient:
    return TestClient(RetryableAnswers(app), raise_server_exceptions=False)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_own_error_of_serve_is_503_to_be_repeated(status: int) -> None:
    response = client_of(PlainTextResponse("words of Serve", status)).get("/score")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "words" not in response.text


@pytest.mark.parametrize(
    "response",
    [
        JSONResponse({"error": "no model"}, 404),
        JSONResponse({"error": "BUG"}, 500),
        PlainTextResponse("te_request_count 1"),
    ],
    ids=["404", "500", "text"],
)
def test_answer_of_the_gateway_passes(response: Response) -> None:
    found = client_of(response).get("/score")

    assert found.status_code == response.status_code
    assert found.content == response.body


def test_health_of_the_proxy_passes() -> None:
    found = client_of(PlainTextResponse("starting", 503)).get(HEALTH)

    assert (found.status_code, found.text) == (503, "starting")


def test_failed_call_is_503() -> None:
    async def fail(*_: Any) -> None:
        raise ConnectionError("words of a text")

    response = client_of(fail).get("/score")

    assert response.status_code == 503
    assert "words" not in response.text


def test_missing_answer_is_503() -> None:
    async def no_answer(*_: Any) -> None:
        """As Serve's proxy when the replica dies."""

    assert client_of(no_answer).get("/score").status_code == 503


@pytest.mark.anyio
async def test_call_that_fails_within_its_answer_raises() -> None:
    sent, receive = [], cast(Any, None)

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ConnectionError

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with pytest.raises(ConnectionError):
        await RetryableAnswers(fail)({"type": "http", "path": "/score"}, receive, send)
    assert sent == ["http.response.start"]


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/score", ErrorMessage),
        ("/predict", ErrorResponse),
        ("/v2/models/m/infer", PlainError),
        ("/models/m", PlainError),
        ("/classify", RequestError),
        ("/models/m/classify", RequestError),
    ],
)
def test_body_is_an_error_of_the_dialect(path: str, model: type[Any]) -> None:
    response = client_of(PlainTextResponse("words of Serve", 500)).get(path)

    assert TypeAdapter(model).validate_json(response.content)
