"""The settings tree: defaults, and the errors of contradictory values."""

from typing import Any

import pytest
from pydantic import ValidationError

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings import TracingSettings
from tests.support.config_tree import tree


def test_defaults() -> None:
    settings = load_settings(tree())
    assert settings.group_id("feedback") == "labelstream-feedback"
    assert settings.pipelines["feedback"].allowed_models == ("sentiment",)
    assert settings.pipelines["feedback"].delivery == "at_least_once"


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"inptu": "x"}, "pipelines.feedback.inptu", "unknown setting"),
        ({"output": None}, "pipelines.feedback.output", "must be text"),
        ({"dead_letter": "in"}, "pipelines.feedback", "dead_letter is an input topic"),
        ({"output": "in"}, "pipelines.feedback", "output is an input topic"),
        ({"dead_letter": "out"}, "pipelines.feedback", "dead_letter is the output topic"),
        ({"review": "out"}, "pipelines.feedback", "review is also an input"),
        ({"model": "nope"}, "pipelines.feedback.model", "no model 'nope'"),
        ({"models": ["nope"]}, "pipelines.feedback.model", "no model 'nope'"),
        ({"input": "a b"}, "pipelines.feedback.input", "must be of letters"),
        ({"format": "text", "text_field": "a"}, "pipelines.feedback", "text_field"),
        ({"workers": 0}, "pipelines.feedback.workers.min", "must be at least 1"),
        ({"workers": {"min": 0}}, "pipelines.feedback.workers.min", "must be at least 1"),
        ({"workers": {"min": 3, "max": 2}}, "pipelines.feedback.workers", "below min"),
        ({"limits": {"max_message_bytes": 100 << 20}}, "pipelines.feedback.limits", "is below max_message_bytes"),
        ({"limits": {"max_batch_bytes": 1_000}}, "pipelines.feedback.limits.max_batch_bytes", "1048576"),
        (
            {"limits": {"max_in_flight_bytes": 64 << 20, "max_batch_bytes": 65 << 20}},
            "pipelines.feedback.limits",
            "is below max_batch_bytes",
        ),
        ({"breaker": {"max_share": 1.5}}, "pipelines.feedback.breaker.max_share", "must be at most 1"),
        ({"on_offset_out_of_range": "jump"}, "pipelines.feedback.on_offset_out_of_range", "earliest"),
        ({"delivery": "maybe"}, "pipelines.feedback.delivery", "at_least_once"),
    ],
)
def test_wrong_pipeline_names_the_key(change: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(tree(**change))
    assert caught.value.key == key
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("http", "key", "words"),
    [
        ({"host": "0.0.0.0"}, "http", "host 0.0.0.0 is open to other machines, and no token is set"),
        ({"host": "gateway.example.com"}, "http", "and no token is set"),
        ({"cert_file": "/x"}, "http", "cert_file and key_file need each other"),
        ({"port": 0}, "http.port", "must be "),
        ({"page_texts": True}, "http", "page_texts shows nothing without page: set page to true"),
        ({"default_model": "nope"}, "http.default_model", "no model 'nope' under models; name one of sentiment"),
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


def test_models_alone_are_served_over_http() -> None:
    settings = load_settings({"models": tree()["models"], "http": None})
    assert settings.http is not None
    assert settings.kafka is None
    assert settings.pipelines == {}
    with pytest.raises(ConfigError, match="kafka: is missing; add it: Kafka brokers"):
        _ = settings.required_kafka


def test_config_without_http_serves_none() -> None:
    assert load_settings(tree()).http is None


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (("pipelines",), "pipelines: is missing; add pipelines, or add http to serve the models over HTTP"),
        (("kafka",), "kafka: is missing; add it: Kafka brokers"),
        (("kafka", "pipelines"), "pipelines: is missing"),
    ],
)
def test_missing_section_is_named(without: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings({key: part for key, part in tree().items() if key not in without})


@pytest.mark.parametrize(
    ("security", "words"),
    [
        ({"protocol": "SASL_SSL"}, "needs sasl_mechanism"),
        ({"username": "u"}, "no effect with protocol PLAINTEXT"),
        ({"ca_file": "/x"}, "no effect with protocol PLAINTEXT"),
        ({"protocol": "SSL", "cert_file": "/x"}, "need each other"),
        ({"protocol": "SSL", "key_password_file": "/x"}, "key password has no effect without key_file"),
        ({"password": "hunter2"}, "secrets do not belong in the config file"),
    ],
)
def test_contradictory_security_is_refused(security: dict[str, Any], words: str) -> None:
    config = tree()
    config["kafka"]["security"] = security
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(config)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "summarization"}, "task"),
        ({"candidate_labels": ["a"]}, "candidate_labels has no effect with task text-classification"),
        ({"multi_label": True}, "multi_label has no effect"),
        ({"task": "zero-shot-classification", "problem_type": "regression"}, "problem_type has no effect"),
        ({"task": "zero-shot-classification", "candidate_labels": ["a", "a"]}, "candidate_labels repeat"),
        ({"task": "zero-shot-classification", "candidate_labels": [" "]}, "must not be blank"),
        ({"task": "zero-shot-classification", "long_text": "windows"}, "long_text windows needs task"),
        ({"task": "fill-mask", "threshold": 0.5}, "threshold has no effect with task fill-mask"),
        ({"task": "feature-extraction", "temperature": 2.0}, "temperature has no effect with task feature-extraction"),
        ({"temperature": 0}, "must be at least 0.01; null means 1"),
        ({"task": "feature-extraction", "top_k": 3}, "top_k has no effect with task feature-extraction"),
        ({"pooling": "cls"}, "pooling has no effect"),
        ({"normalize": True}, "normalize has no effect"),
        ({"stride": 5}, "no effect with long_text truncate"),
        ({"aggregate": "max"}, "no effect with long_text"),
        ({"quantize": "int8", "backend": "torch"}, "quantize needs OpenVINO: set backend"),
        ({"quantize": "int8", "device": "cuda"}, "need a CPU: set device to cpu"),
        ({"backend": "openvino", "dtype": "float16"}, "need a CPU: set device to cpu"),
        ({"min_agreement": 0.5}, "no effect without quantize"),
        ({"calibration_texts": "texts"}, "no effect without quantize"),
        ({"quantize": "int8", "task": "fill-mask"}, "quantize has no effect with task fill-mask"),
        ({"attention": "packed"}, "models.sentiment.attention: was removed: a GPU runs sequences without padding"),
        ({"cuda_graphs": True}, "models.sentiment.cuda_graphs: was removed: .*; remove the key"),
        ({"threshold": 1.5}, "must be at most 1"),
        ({"thresholds": {"a": -1}}, "must be at least 0"),
    ],
)
def test_contradictory_model_options_are_refused(change: dict[str, Any], words: str) -> None:
    config = tree()
    config["models"]["sentiment"] |= change
    with pytest.raises(ConfigError, match=words):
        load_settings(config)


@pytest.mark.parametrize("change", [{"delivery_timeout_ms": 5_000}, {"max_poll_interval_ms": 6_000}])
def test_contradictory_timeouts_are_refused(change: dict[str, int]) -> None:
    config = tree()
    config["kafka"] |= change
    with pytest.raises(ConfigError, match="raise the first or lower the second"):
        load_settings(config)


def test_pipelines_with_one_group_are_refused() -> None:
    config = tree(group_id="g")
    config["pipelines"]["other"] = config["pipelines"]["feedback"] | {"input": "in2"}
    with pytest.raises(ConfigError, match="share the group_id 'g'"):
        load_settings(config)


@pytest.mark.parametrize("endpoint", ["https://user:password@collector/v1/traces", "http://token@collector:4318"])
def test_tracing_endpoint_with_a_login_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        TracingSettings(endpoint=endpoint)
    assert "password" not in refused.value.errors(include_input=False, include_url=False)[0]["msg"]
