from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient

from labelstream.deploy.gateway.served import Model, UnknownModel
from labelstream.deploy.gateway.server.http_app import build_app, routers
from labelstream.deploy.gateway.server.ongoing import Requests
from labelstream.workers.classifier import Answer, Prediction, Request
from labelstream.workers.engine.description import TaskName
from labelstream.workers.settings.http import HttpSettings
from tests.support.fake_handle import description

BODY = {"input_data": ["a"]}
TENSOR = {"name": "text", "datatype": "BYTES", "shape": [3], "data": ["a"] * 3}


class FakeServed:
    """One model, `small`, which answers `yes`."""

    is_ready, max_texts = True, 2

    def models(self) -> Sequence[str]:
        return ("small",)

    async def model(self, name: str | None, tasks: Collection[TaskName]) -> Model:
        if name not in (None, "small"):
            raise UnknownModel(f"no model {name!r}; the models are small")
        return Model("small", description())

    async def answer(self, model: Model, requests: Sequence[Request]) -> list[Answer]:
        return [Prediction(("yes",), (1.0,), 3, False, "one") for _ in requests]

    async def ready(self, name: str | None = None) -> bool:
        return self.is_ready


class Gateway:
    def __init__(self, token: str | None = None, **http: Any) -> None:
        self.served, self.requests, self.closed = FakeServed(), Requests(5), False
        app = build_app(self.served, HttpSettings(**http), token, self.requests, self.close)
        self.client = TestClient(app, base_url="http://localhost")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    with made.client:
        yield made


def test_dialects_answer_at_the_root_and_by_model(gateway: Gateway) -> None:
    for path in ("/score", "/models/small/score"):
        assert gateway.client.post(path, json=BODY).json() == [{"label": "yes", "score": 1.0}]
    assert gateway.requests.counts()["requests"] == {"azure": {"200": 2}}


def test_unknown_model_is_404(gateway: Gateway) -> None:
    assert gateway.client.post("/models/nope/score", json=BODY).status_code == 404


def test_root_says_that_the_gateway_is_alive(gateway: Gateway) -> None:
    assert gateway.client.get("/").json() == {"status": "alive"}


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_health_is_that_of_all_models(gateway: Gateway, ready: bool, status: int) -> None:
    gateway.served.is_ready = ready
    assert gateway.client.get("/health").status_code == status
    assert gateway.client.get("/ping").status_code == status


def test_docs_load_nothing_from_other_hosts(gateway: Gateway) -> None:
    page = gateway.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /score" in page.text
    assert "://" not in page.text
    assert gateway.client.get("/redoc").status_code == 404


def test_large_body_is_413_in_the_envelope_of_its_dialect() -> None:
    client = Gateway(max_request_bytes=1_024).client
    response = client.post("/score", json={"input_data": ["x" * 2_000]})
    assert response.status_code == 413
    assert "message" in response.json()


def test_token_guards_all_but_health() -> None:
    client = Gateway("secret").client
    assert client.get("/health").status_code == 200
    for path in ("/docs", "/openapi.json", "/score"):
        assert client.get(path).status_code == 401
    headers = {"authorization": "Bearer secret"}
    assert client.post("/score", json=BODY, headers=headers).status_code == 200


def test_page_of_another_host_gets_no_permission(gateway: Gateway) -> None:
    response = gateway.client.post("/score", json=BODY, headers={"origin": "http://page.example"})
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_named_origin_gets_permission() -> None:
    client = Gateway(cors_origins=("http://page.example",)).client
    asked = {"origin": "http://page.example", "access-control-request-method": "POST"}
    assert client.options("/score", headers=asked).headers["access-control-allow-origin"] == "http://page.example"
    response = client.post("/score", json=BODY, headers={"origin": "http://page.example"})
    assert response.headers["access-control-allow-origin"] == "http://page.example"


def test_end_of_the_application_closes_the_models() -> None:
    made = Gateway()
    with made.client:
        assert not made.closed
    assert made.closed


def test_each_dialect_has_its_name() -> None:
    names = [router.name for router in routers(FakeServed(), HttpSettings())]
    assert names == ["own", "azure", "huggingface", "tei", "v2"]


def test_no_two_routes_share_method_and_path() -> None:
    app = build_app(FakeServed(), HttpSettings(), None, Requests(1))
    operations = [(path, method) for path, methods in app.openapi()["paths"].items() for method in methods]
    assert len(set(operations)) == len(operations)
    assert {path for path, _ in operations} >= {"/classify", "/score", "/predict", "/v2", "/models/{model}/score"}


def test_openapi_documents_errors_of_each_operation() -> None:
    app = build_app(FakeServed(), HttpSettings(), None, Requests(1))
    for path, operations in app.openapi()["paths"].items():
        for operation in operations.values():
            assert {"200", "4XX", "5XX"} <= operation["responses"].keys(), path


def test_openapi_says_where_the_token_is_needed() -> None:
    app = build_app(FakeServed(), HttpSettings(), "secret", Requests(1))
    found = app.openapi()
    assert found["security"]
    free = {path for path, operations in found["paths"].items() if operations.get("get", {}).get("security") == []}
    assert free == {"/", "/health", "/ping", "/v2/health/live", "/v2/health/ready"}


def test_head_is_answered_as_get(gateway: Gateway) -> None:
    for path in ("/", "/health", "/ping", "/docs", "/v2/health/live"):
        assert gateway.client.head(path).status_code == 200
    assert gateway.client.head("/score").status_code == 405


def test_health_of_an_unknown_model_is_404(gateway: Gateway) -> None:
    assert gateway.client.get("/models/small/health").status_code == 200
    assert gateway.client.get("/models/nope/health").status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/score", {"input_data": ["a"] * 3}),
        ("/models/small", {"inputs": ["a"] * 3}),
        ("/predict", {"inputs": [["a"]] * 3}),
        ("/embed", {"inputs": ["a"] * 3}),
        (
            "/v2/models/small/infer",
            {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [3], "data": ["a"] * 3}]},
        ),
    ],
)
def test_too_many_texts_are_413_in_each_dialect(gateway: Gateway, path: str, body: Any) -> None:
    response = gateway.client.post(path, json=body)
    assert response.status_code == 413
    assert "3 texts in one request; send 2 at most" in response.text
