from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.server.access import Access, hosts_of


def client_of(
    token: str | None = None, hosts: tuple[str, ...] | None = None, origins: tuple[str, ...] = (), **more: Any
) -> TestClient:
    app = FastAPI()

    @app.get("/{path:path}")
    @app.post("/{path:path}")
    async def any_path(path: str) -> str:
        return path

    app.add_middleware(Access, envelopes=Envelopes(app), token=token, hosts=hosts, origins=origins, **more)
    return TestClient(app)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer other"}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"authorization": "Bearer secrét"}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "bearer  secret "}, 200),
    ],
)
def test_request_needs_the_token(headers: Mapping[str, str], status: int) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    response = client_of("secret").post("/score", headers=encoded)

    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/ping", 200),
        ("/v2/health/live", 200),
        ("/", 200),
        ("/metrics", 401),
        ("/docs", 401),
        ("/openapi.json", 401),
        ("/models/m/health", 401),
    ],
)
def test_only_health_and_the_page_need_no_token(path: str, status: int) -> None:
    assert client_of("secret").get(path).status_code == status


def test_post_to_the_root_needs_the_token() -> None:
    assert client_of("secret").post("/").status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 403),
        ("localhost:80:evil.example", 403),
        ("[::1]evil.example", 403),
        ("localhost@evil.example", 403),
    ],
)
def test_other_host_is_refused_without_a_token(host: str, status: int) -> None:
    hosts = hosts_of("127.0.0.1", (), token=False)
    assert client_of(hosts=hosts).post("/score", headers={"host": host}).status_code == status


def test_second_host_is_refused() -> None:
    hosts = hosts_of("127.0.0.1", (), token=False)
    headers = [("host", "evil.example"), ("host", "localhost")]
    assert client_of(hosts=hosts).post("/score", headers=headers).status_code == 403


def test_health_takes_any_host() -> None:
    hosts = hosts_of("127.0.0.1", (), token=False)
    assert client_of(hosts=hosts).get("/health", headers={"host": "10.0.0.7:8000"}).status_code == 200


def test_token_allows_any_host_unless_some_are_named() -> None:
    assert hosts_of("0.0.0.0", (), token=True) is None
    assert "a.example" in (hosts_of("0.0.0.0", ("a.example",), token=True) or ())


@pytest.mark.parametrize(
    ("host", "status"), [("a.models.example", 200), ("models.example", 403), ("xmodels.example", 403)]
)
def test_wildcard_is_each_name_of_a_domain(host: str, status: int) -> None:
    assert client_of(hosts=("*.models.example",)).post("/score", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://testserver", 200),
        ("https://page.example", 200),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_other_origin_is_refused(origin: str, status: int) -> None:
    client = client_of(origins=("https://page.example",))
    assert client.post("/score", headers={"origin": origin}).status_code == status


def test_token_is_compared_as_utf8() -> None:
    headers = [(b"authorization", "Bearer secrét".encode())]
    assert client_of("secrét").post("/score", headers=headers).status_code == 200


def test_further_paths_may_be_open_to_get() -> None:
    client = client_of("secret", open_paths={"/page/main.js"})
    assert client.get("/page/main.js").status_code == 200
    assert client.post("/page/main.js").status_code == 401
    assert client.get("/page/events").status_code == 401
