"""The section `http`: contradictory values, and the addresses that need a token."""

from typing import Any

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import tree


@pytest.mark.parametrize(
    ("http", "key", "words"),
    [
        ({"host": "0.0.0.0"}, "http", "host 0.0.0.0 is open to other machines, and no token is set"),
        ({"host": "gateway.example.com"}, "http", "and no token is set"),
        ({"cert_file": "/x"}, "http", "cert_file and key_file need each other"),
        ({"port": 0}, "http.port", "must be "),
        ({"page_texts": True}, "http", "page_texts shows nothing without page: set page to true"),
        ({"allowed_hosts": ["a.example:8000/"]}, "http.allowed_hosts", "host name"),
        ({"cors_origins": ["*"]}, "http.cors_origins", "must be an origin"),
        ({"token": "hunter2"}, "http.token", "secrets do not belong in the config file"),
    ],
)
def test_wrong_http_names_the_key(http: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({**tree(), "http": http})
    assert caught.value.key.startswith(key)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_blank_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_HTTP__TOKEN", " ")
    with pytest.raises(ConfigError, match="token is blank"):
        load_settings(tree())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    http = load_settings({**tree(), "http": {"host": host}}).http
    assert http is not None
    assert http.is_local
    assert not http.has_token


def test_open_host_is_served_with_a_token() -> None:
    http = load_settings({**tree(), "http": {"host": "0.0.0.0", "token_file": "/run/token"}}).http
    assert http is not None
    assert http.has_token
    assert not http.is_local


@pytest.mark.parametrize(
    ("http", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"host": "::1", "port": 80}, "http://[::1]:80"),
        ({"cert_file": "/c", "key_file": "/k"}, "https://127.0.0.1:8000"),
    ],
)
def test_http_has_the_address_of_its_clients(http: dict[str, Any], url: str) -> None:
    found = load_settings({**tree(), "http": http}).http
    assert found is not None
    assert found.url == url
