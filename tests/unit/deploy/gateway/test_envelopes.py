from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from labelstream.deploy.gateway.envelopes import MAX_KEYS, MAX_PLACE, DialectRouter, Envelopes, _wrong_field, path_model
from labelstream.deploy.gateway.served import Busy, RequestRefused


class Part(BaseModel):
    label: str


class Body(BaseModel):
    text: str = Field(min_length=1)
    parts: list[Part] = []


class OwnError(BaseModel):
    detail: str
    code: int


def own_error(error: RequestRefused) -> dict[str, Any]:
    return {"detail": error.message, "code": error.status}


def echo(error: Exception | None = None) -> DialectRouter:
    router = DialectRouter(own_error, OwnError)

    @router.post("/echo")
    async def post(body: Body, model: Annotated[str | None, Depends(path_model)]) -> dict[str, str | None]:
        if error is not None:
            raise error
        return {"text": body.text, "model": model}

    return router


def client_of(*routers: DialectRouter) -> Iterator[TestClient]:
    app = FastAPI()
    Envelopes(app).mount(routers)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client() -> Iterator[TestClient]:
    yield from client_of(echo())


def test_route_stands_at_the_root(client: TestClient) -> None:
    assert client.post("/echo", json={"text": "a"}).json() == {"text": "a", "model": None}


def test_route_stands_below_each_model(client: TestClient) -> None:
    assert client.post("/models/small/echo", json={"text": "a"}).json() == {"text": "a", "model": "small"}


def test_openapi_declares_the_model_of_a_path(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/models/{model}/echo"]["post"]

    assert [parameter["name"] for parameter in operation["parameters"]] == ["model"]


def test_openapi_has_the_errors_of_the_dialect(client: TestClient) -> None:
    for operations in client.get("/openapi.json").json()["paths"].values():
        for status in ("4XX", "5XX"):
            schema = operations["post"]["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/OwnError"}


@pytest.mark.parametrize("path", ["/echo", "/models/small/echo"])
def test_wrong_field_is_422_and_named(client: TestClient, path: str) -> None:
    response = client.post(path, json={"text": ""})

    assert response.status_code == 422
    assert response.json() == {"detail": "text: String should have at least 1 character", "code": 422}


def test_missing_field_does_not_show_the_others(client: TestClient) -> None:
    response = client.post("/echo", json={"secret": "words"})

    assert response.json() == {"detail": "text: Field required", "code": 422}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"texts": "a"}, "body: unknown field texts; did you mean text?"),
        ({"text": "a", "parts": [{"label": "a"}, {"lable": "a"}]}, "parts.1: unknown field lable; did you mean label?"),
        ({"other": "a"}, "text: Field required"),
        ({**{f"other{i}": 1 for i in range(MAX_KEYS)}, "texts": "a"}, "text: Field required"),
        ({"text" + "s" * MAX_PLACE: "a"}, "text: Field required"),
    ],
)
def test_misspelt_key_names_the_missing_field(client: TestClient, body: dict[str, Any], message: str) -> None:
    assert client.post("/echo", json=body).json() == {"detail": message, "code": 422}


def test_body_that_is_not_json_is_400(client: TestClient) -> None:
    response = client.post("/echo", content=b"{", headers={"content-type": "application/json"})

    assert response.status_code == 400
    assert response.json() == {"detail": "the body is not JSON; send a JSON object", "code": 400}


@pytest.mark.parametrize(("content", "kind"), [(b'{"text": "a"}', "text/plain"), (b"[]", "application/json")])
def test_body_that_is_no_object_names_the_header(client: TestClient, content: bytes, kind: str) -> None:
    response = client.post("/echo", content=content, headers={"content-type": kind})

    assert response.status_code == 422
    assert response.json()["detail"] == "body: no JSON object; send one, with the header Content-Type: application/json"


def test_other_method_is_405_in_the_envelope(client: TestClient) -> None:
    response = client.get("/echo")

    assert response.status_code == 405
    assert response.json()["code"] == 405
    assert response.headers["allow"] == "POST"


def test_allow_names_the_methods_of_all_routes() -> None:
    other = DialectRouter(own_error, OwnError)
    other.get("/echo")(lambda: {})
    for client in client_of(echo(), other):
        response = client.put("/echo")

        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD, POST"


def test_path_of_no_dialect_has_the_plain_envelope(client: TestClient) -> None:
    response = client.post("/other")

    assert response.status_code == 404
    assert response.json() == {"error": "no such path; see /docs"}


def test_refusal_has_its_headers() -> None:
    for client in client_of(echo(Busy("full", 3))):
        response = client.post("/echo", json={"text": "a"})

        assert response.status_code == 429
        assert response.headers["retry-after"] == "3"
        assert response.json() == {"detail": "full", "code": 429}


def test_bug_is_500_without_its_words() -> None:
    for client in client_of(echo(ValueError("words of a text"))):
        response = client.post("/echo", json={"text": "a"})

        assert response.status_code == 500
        assert response.json()["detail"] == "BUG: ValueError; see the gateway's log"


def test_long_key_is_cut_off_in_the_error() -> None:
    error = RequestValidationError([{"loc": ("body", "k" * 10_000), "msg": "Extra inputs", "type": "extra_forbidden"}])
    assert _wrong_field(error).message == "k" * MAX_PLACE + "..: Extra inputs"
