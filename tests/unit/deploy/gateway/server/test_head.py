import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from labelstream.deploy.gateway.server.head import HeadAsGet


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.get("/health")(lambda: {"status": "ready"})
    app.post("/score")(lambda: {})
    app.add_middleware(HeadAsGet)
    return TestClient(app)


def test_head_has_the_headers_of_get(client: TestClient) -> None:
    response = client.head("/health")
    assert response.status_code == 200
    assert response.headers == client.get("/health").headers
    assert response.content == b""


def test_head_of_a_path_without_get_is_405(client: TestClient) -> None:
    assert client.head("/score").status_code == 405
