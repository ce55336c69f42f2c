from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.serve import context
from ray.serve._private import constants
from ray.serve._private.utils import call_function_from_import_path
from uvicorn.protocols.http import auto

from labelstream.deploy.gateway.proxy.guard import VARIABLE
from labelstream.deploy.gateway.proxy.options import (
    CHECK_PERIOD_S,
    CHECK_VARIABLE,
    check_proxy,
    guard_proxies,
    proxy_options,
)
from labelstream.workers.errors import StartError
from labelstream.workers.settings.http import HttpSettings


def serve_with(monkeypatch: pytest.MonkeyPatch, location: str = "EveryNode", **options: Any) -> None:
    found = {"host": "127.0.0.1", "port": 8000, "ssl_certfile": None, "ssl_keyfile": None, **options}
    get_location = SimpleNamespace(remote=lambda: SimpleNamespace(value=location))
    client = SimpleNamespace(
        http_config=SimpleNamespace(**found), _controller=SimpleNamespace(get_proxy_location=get_location)
    )
    monkeypatch.setattr(context, "_get_global_client", lambda: client)
    monkeypatch.setattr(ray, "get", lambda answer: answer)


def test_no_http_needs_no_proxy() -> None:
    assert proxy_options(None) == {"proxy_location": "Disabled"}


def test_proxy_listens_where_the_config_says() -> None:
    options = proxy_options(HttpSettings(port=9000))
    assert options == {"proxy_location": "EveryNode", "http_options": {"host": "127.0.0.1", "port": 9000}}


def test_certificate_makes_https() -> None:
    options = proxy_options(HttpSettings.model_validate({"cert_file": "/c.pem", "key_file": "/k.pem"}))
    assert options["http_options"]["ssl_certfile"] == "/c.pem"
    assert options["http_options"]["ssl_keyfile"] == "/k.pem"


def test_running_serve_with_the_same_options_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    serve_with(monkeypatch)
    check_proxy(HttpSettings())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"location": "Disabled"}, "http: Serve already runs on this Ray, without HTTP; stop Serve"),
        ({"port": 9000}, "http.port: Serve already runs on this Ray with 9000, not 8000"),
        ({"host": "0.0.0.0"}, "http.host: Serve already runs on this Ray with 0.0.0.0, not 127.0.0.1"),
        ({"ssl_certfile": "/c"}, "http.cert_file: Serve already runs on this Ray with /c, not None"),
    ],
)
def test_running_serve_elsewhere_is_an_error(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    serve_with(monkeypatch, **options)
    with pytest.raises(StartError, match=words):
        check_proxy(HttpSettings())


def test_serve_can_import_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    environment: dict[str, str] = {}
    guard_proxies(environment)
    assert call_function_from_import_path(environment[VARIABLE])


def test_dead_proxy_is_noticed_soon_unless_the_user_says_otherwise() -> None:
    assert hasattr(constants, CHECK_VARIABLE.removeprefix("RAY_SERVE_"))
    environment: dict[str, str] = {}
    guard_proxies(environment)
    assert environment[CHECK_VARIABLE] == CHECK_PERIOD_S
    environment = {CHECK_VARIABLE: "7"}
    guard_proxies(environment)
    assert environment[CHECK_VARIABLE] == "7"
