from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from ray.serve._private import constants
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.http import auto

from labelstream.deploy.gateway.proxy.connections import BoundedProtocol
from labelstream.deploy.gateway.proxy.guard import HEALTH, PROXY_HEADERS, VARIABLE, ProxyGuard, middlewares
from labelstream.deploy.gateway.proxy.retryable_answers import RetryableAnswers


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()

    @app.get("/{path:path}")
    async def any_path(path: str, request: Request) -> list[str]:
        return sorted(set(request.headers) & {*PROXY_HEADERS, "serve_multiplexed_model_id", "x-other", "x-request-id"})

    return TestClient(ProxyGuard(app))


@pytest.mark.parametrize(("path", "status"), [("/-/routes", 404), ("/-/anything", 404), (HEALTH, 200), ("/score", 200)])
def test_serves_own_paths_are_hidden(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


@pytest.mark.anyio
async def test_path_of_no_gateway_is_hidden() -> None:
    """`OPTIONS *`: Serve would answer with its routes."""
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "OPTIONS", "path": "*", "headers": []}
    await ProxyGuard(never)(scope, never, send)

    assert sent[0]["status"] == 404


async def never(*_: Any) -> Any:
    raise AssertionError


@pytest.mark.parametrize("path", ["/", "/-/routes", "/classify"])
def test_websocket_is_refused(client: TestClient, path: str) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
        pass


def test_headers_of_the_proxy_are_removed(client: TestClient) -> None:
    given = dict.fromkeys([*PROXY_HEADERS, "serve_multiplexed_model_id", "x-other"], "1")

    assert client.get("/score", headers=given).json() == ["x-other"]


def test_names_are_those_of_serve() -> None:
    assert hasattr(constants, VARIABLE)
    assert constants.SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER in PROXY_HEADERS
    assert constants.SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER in PROXY_HEADERS
    assert constants.SERVE_MULTIPLEXED_MODEL_ID.replace("_", "-") in PROXY_HEADERS


def test_request_id_that_serve_cannot_read_is_removed(client: TestClient) -> None:
    headers = [(b"x-request-id", b"\xff\xfe"), (b"x-other", b"1")]

    assert client.get("/score", headers=headers).json() == ["x-other"]
    assert client.get("/score", headers={"x-request-id": "one"}).json() == ["x-request-id"]


def test_serve_gets_a_list_of_middlewares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    assert [middleware.cls for middleware in middlewares()] == [RetryableAnswers, ProxyGuard]
    assert auto.AutoHTTPProtocol is BoundedProtocol
