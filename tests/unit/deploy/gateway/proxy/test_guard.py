import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from ray.serve._private import constants

from labelstream.deploy.gateway.proxy.guard import HEALTH, PROXY_HEADERS, VARIABLE, ProxyGuard, middlewares


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()

    @app.get("/{path:path}")
    async def any_path(path: str, request: Request) -> list[str]:
        return sorted(set(request.headers) & {*PROXY_HEADERS, "serve_multiplexed_model_id", "x-other"})

    return TestClient(ProxyGuard(app))


@pytest.mark.parametrize(("path", "status"), [("/-/routes", 404), ("/-/anything", 404), (HEALTH, 200), ("/score", 200)])
def test_serves_own_paths_are_hidden(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_headers_of_the_proxy_are_removed(client: TestClient) -> None:
    given = dict.fromkeys([*PROXY_HEADERS, "serve_multiplexed_model_id", "x-other"], "1")

    assert client.get("/score", headers=given).json() == ["x-other"]


def test_names_are_those_of_serve() -> None:
    assert hasattr(constants, VARIABLE)
    assert constants.SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER in PROXY_HEADERS
    assert constants.SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER in PROXY_HEADERS
    assert constants.SERVE_MULTIPLEXED_MODEL_ID.replace("_", "-") in PROXY_HEADERS


def test_serve_gets_a_list_of_middlewares() -> None:
    assert [middleware.cls for middleware in middlewares()] == [ProxyGuard]
