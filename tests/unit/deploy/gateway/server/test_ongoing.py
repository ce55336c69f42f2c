import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from labelstream.deploy.gateway.envelopes import DialectRouter, Envelopes, PlainError, plain_error
from labelstream.deploy.gateway.server.ongoing import Ongoing, Requests


def client_of(requests: Requests) -> TestClient:
    app = FastAPI()
    router = DialectRouter(plain_error, PlainError)
    router.name = "azure"

    @router.post("/score")
    async def score(fail: bool = False) -> int:
        if fail:
            raise ValueError("words of a text")
        return requests.in_flight

    envelopes = Envelopes(app)
    envelopes.mount([router])
    app.exception_handlers.pop(Exception)

    @app.get("/health")
    async def health() -> int:
        return requests.in_flight

    app.add_middleware(Ongoing, envelopes=envelopes, requests=requests)
    return TestClient(app)


def test_requests_are_counted_by_dialect_and_status() -> None:
    requests = Requests(5)
    client = client_of(requests)

    assert client.post("/score").json() == 1
    client.post("/score")
    client.get("/nowhere")

    counts = requests.counts()
    assert counts["in_flight"] == 0
    assert counts["requests"] == {"azure": {"200": 2}, "other": {"404": 1}}
    assert sum(counts["latency_s"]["azure"]["counts"]) == 2


def test_full_gateway_is_429() -> None:
    requests = Requests(1)
    with requests.one():
        response = client_of(requests).post("/score")

    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"


def test_health_is_neither_bounded_nor_counted() -> None:
    requests = Requests(1)
    with requests.one():
        assert client_of(requests).get("/health").status_code == 200
    assert requests.counts()["requests"] == {}


@pytest.mark.parametrize("path", ["/score", "/health"])
def test_stopping_gateway_is_503(path: str) -> None:
    requests = Requests(1)
    requests.draining = True

    assert client_of(requests).request("POST" if path == "/score" else "GET", path).status_code == 503


def test_bug_is_500_and_its_text_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    requests = Requests(1)
    with caplog.at_level(logging.ERROR):
        response = client_of(requests).post("/score?fail=true")

    assert response.status_code == 500
    assert "words" not in response.text + caplog.text
    assert "ValueError at " in caplog.text
    assert requests.in_flight == 0
    assert requests.counts()["requests"] == {"azure": {"500": 1}}


@pytest.mark.anyio
async def test_drain_refuses_new_requests_and_waits() -> None:
    requests = Requests(2)
    assert await requests.drain(5.0)
    assert requests.draining


@pytest.mark.anyio
async def test_drain_ends_with_its_timeout() -> None:
    requests = Requests(2)
    with requests.one():
        assert not await requests.drain(0.01)
