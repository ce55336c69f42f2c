"""Settings from a config file and the environment: overrides, errors and secrets."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.config_file import (
    forget_environment,
    load_kafka_settings,
    load_settings,
    read_config_file,
    secret_of,
    without_secrets,
)
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import tree


def test_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS", "broker:1")
    monkeypatch.setenv("LABELSTREAM_MODELS__SENTIMENT__MAX_BATCH_TOKENS", "2048")
    settings = load_settings(tree())
    assert settings.required_kafka.bootstrap_servers == "broker:1"
    assert settings.models["sentiment"].max_batch_tokens == 2048
    assert settings.models["sentiment"].source == "/models/sst2"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LABELSTREAM_KAFAK__BOOTSTRAP_SERVERS", "x:1", "unknown setting"),
        ("LABELSTREAM_KAFKA__BOOTSTRAP", "x:1", "kafka.bootstrap: unknown setting"),
        ("LABELSTREAM_MODELS", "{not json", "models"),
        ("LABELSTREAM_MODELS__SENTIMENT__TOP_K", "many", "models.sentiment.top_k"),
    ],
)
def test_unknown_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=words):
        load_settings(tree())


def test_kubernetes_service_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("LABELSTREAM_PORT_8000_TCP_ADDR", "10.0.0.1")
    load_settings(tree())


def test_secrets_stay_out_of_serialized_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA__SECURITY__PASSWORD", "hunter2")
    config = tree()
    config["kafka"]["security"] = {"protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "u"}
    settings = load_settings(config)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(without_secrets(settings))
    again = load_settings(without_secrets(settings))
    assert again == settings
    assert secret_of(again.required_kafka.security.password, None, "k") == "hunter2"


def test_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    assert secret_of(None, tmp_path / "password", "k") == "hunter2"
    with pytest.raises(ConfigError, match="cannot be read"):
        secret_of(None, tmp_path / "nothing", "k")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not valid YAML at line 1"),
        ("", "empty"),
        ("- 1", "not a mapping"),
        ("a: 1\na: 2", "repeats the key a at line 2"),
        (None, "cannot be read"),
    ],
)
def test_unreadable_file_is_a_config_error(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_config_file(path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_any_tree_gives_settings_or_one_config_error(value: Any) -> None:
    for key in ("kafka", "models", "pipelines"):
        with pytest.raises(ConfigError):
            load_settings(tree() | {key: value} if not isinstance(value, dict) or value else {key: value})


def test_environment_overrides_kafka_section_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    section = {"bootstrap_servers": "file:1", "request_timeout_ms": 5_000}
    monkeypatch.setenv("LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS", "environment:1")
    kafka = load_kafka_settings(section)
    assert (kafka.bootstrap_servers, kafka.request_timeout_ms) == ("environment:1", 5_000)
    forget_environment("kafka.bootstrap_servers")
    assert load_kafka_settings(section).bootstrap_servers == "file:1"


def test_forget_environment_drops_only_keys_below(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KAFKA__SECURITY__PASSWORD", "KAFKA", "KAFKAESQUE__A", "LOGS__LEVEL"):
        monkeypatch.setenv(f"LABELSTREAM_{variable}", "x")
    forget_environment("kafka", "models")
    assert {name for name in os.environ if name.startswith("LABELSTREAM_") and "TEST" not in name} == {
        "LABELSTREAM_KAFKAESQUE__A",
        "LABELSTREAM_LOGS__LEVEL",
    }
