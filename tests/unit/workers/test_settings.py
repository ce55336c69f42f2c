"""The config tree: what it refuses, and in which words."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.config_file import load_settings, read_config_file, secret_of, without_secrets
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings import TracingSettings


def tree(**pipeline: Any) -> dict[str, Any]:
    return {
        "kafka": {"bootstrap_servers": "localhost:9092"},
        "models": {"sentiment": {"source": "/models/sst2"}},
        "pipelines": {
            "feedback": {"input": "in", "output": "out", "dead_letter": "dlq", "model": "sentiment", **pipeline}
        },
    }


def test_defaults() -> None:
    settings = load_settings(tree())
    assert settings.group_id("feedback") == "labelstream-feedback"
    assert settings.pipelines["feedback"].allowed_models == ("sentiment",)
    assert settings.pipelines["feedback"].delivery == "at_least_once"


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"inptu": "x"}, "pipelines.feedback.inptu", "is no setting"),
        ({"output": None}, "pipelines.feedback.output", "string"),
        ({"dead_letter": "in"}, "pipelines.feedback", "dead_letter is the input topic"),
        ({"output": "in"}, "pipelines.feedback", "output is the input topic"),
        ({"dead_letter": "out"}, "pipelines.feedback", "dead_letter is the output topic"),
        ({"review": "out"}, "pipelines.feedback", "review is one of the pipeline's other topics"),
        ({"model": "nope"}, "pipelines.feedback.model", "no model 'nope'"),
        ({"models": ["nope"]}, "pipelines.feedback.model", "no model 'nope'"),
        ({"input": "a b"}, "pipelines.feedback.input", "pattern"),
        ({"format": "text", "text_field": "a"}, "pipelines.feedback", "text_field"),
        ({"workers": 0}, "pipelines.feedback.workers.min", "greater"),
        ({"workers": {"min": 0}}, "pipelines.feedback.workers.min", "greater"),
        ({"workers": {"min": 3, "max": 2}}, "pipelines.feedback.workers", "below min"),
        ({"limits": {"max_message_bytes": 100 << 20}}, "pipelines.feedback.limits", "is below max_message_bytes"),
        ({"limits": {"max_batch_bytes": 1_000}}, "pipelines.feedback.limits.max_batch_bytes", "1048576"),
        (
            {"limits": {"max_in_flight_bytes": 64 << 20, "max_batch_bytes": 65 << 20}},
            "pipelines.feedback.limits",
            "is below max_batch_bytes",
        ),
        ({"breaker": {"max_share": 1.5}}, "pipelines.feedback.breaker.max_share", "less than or equal to 1"),
        ({"on_offset_out_of_range": "jump"}, "pipelines.feedback.on_offset_out_of_range", "earliest"),
        ({"delivery": "maybe"}, "pipelines.feedback.delivery", "at_least_once"),
    ],
)
def test_wrong_pipelines_name_the_key(change: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(tree(**change))
    assert caught.value.key == key
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("security", "words"),
    [
        ({"protocol": "SASL_SSL"}, "needs sasl_mechanism"),
        ({"username": "u"}, "no effect with protocol PLAINTEXT"),
        ({"ca_file": "/x"}, "no effect with protocol PLAINTEXT"),
        ({"protocol": "SSL", "cert_file": "/x"}, "go together"),
        ({"protocol": "SSL", "key_password_file": "/x"}, "key_password_file opens key_file"),
        ({"password": "hunter2"}, "secrets do not belong in the config file"),
    ],
)
def test_wrong_security(security: dict[str, Any], words: str) -> None:
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
        ({"task": "zero-shot-classification", "candidate_labels": [" "]}, "pattern"),
        ({"task": "zero-shot-classification", "long_text": "windows"}, "long_text windows is for task"),
        ({"task": "fill-mask", "threshold": 0.5}, "threshold has no effect with task fill-mask"),
        ({"task": "feature-extraction", "top_k": 3}, "top_k has no effect with task feature-extraction"),
        ({"pooling": "cls"}, "pooling has no effect"),
        ({"normalize": True}, "normalize has no effect"),
        ({"stride": 5}, "no effect with long_text truncate"),
        ({"aggregate": "max"}, "no effect with long_text"),
        ({"quantize": "int8", "backend": "torch"}, "quantize is OpenVINO's: set backend"),
        ({"quantize": "int8", "device": "cuda"}, "are for CPUs: set device to cpu"),
        ({"backend": "openvino", "dtype": "float16"}, "are for CPUs: set device to cpu"),
        ({"min_agreement": 0.5}, "no effect without quantize"),
        ({"calibration_texts": "texts"}, "no effect without quantize"),
        ({"quantize": "int8", "task": "fill-mask"}, "quantize has no effect with task fill-mask"),
        ({"attention": "packed"}, "models.sentiment.attention: was removed: a GPU runs sequences without padding"),
        ({"cuda_graphs": True}, "models.sentiment.cuda_graphs: was removed: .*; remove the key"),
        ({"threshold": 1.5}, "less than or equal to 1"),
        ({"thresholds": {"a": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_does_not_go_together_in_a_model(change: dict[str, Any], words: str) -> None:
    config = tree()
    config["models"]["sentiment"] |= change
    with pytest.raises(ConfigError, match=words):
        load_settings(config)


@pytest.mark.parametrize("change", [{"delivery_timeout_ms": 5_000}, {"max_poll_interval_ms": 6_000}])
def test_timeouts_that_contradict_each_other(change: dict[str, int]) -> None:
    config = tree()
    config["kafka"] |= change
    with pytest.raises(ConfigError, match="raise the one or lower the other"):
        load_settings(config)


def test_two_pipelines_do_not_share_a_group() -> None:
    config = tree(group_id="g")
    config["pipelines"]["other"] = config["pipelines"]["feedback"] | {"input": "in2"}
    with pytest.raises(ConfigError, match="share the group_id 'g'"):
        load_settings(config)


def test_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS", "broker:1")
    monkeypatch.setenv("LABELSTREAM_MODELS__SENTIMENT__MAX_BATCH_TOKENS", "2048")
    settings = load_settings(tree())
    assert settings.kafka.bootstrap_servers == "broker:1"
    assert settings.models["sentiment"].max_batch_tokens == 2048
    assert settings.models["sentiment"].source == "/models/sst2"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LABELSTREAM_KAFAK__BOOTSTRAP_SERVERS", "x:1", "is no setting"),
        ("LABELSTREAM_KAFKA__BOOTSTRAP", "x:1", "kafka.bootstrap: is no setting"),
        ("LABELSTREAM_MODELS", "{not json", "models"),
        ("LABELSTREAM_MODELS__SENTIMENT__TOP_K", "many", "models.sentiment.top_k"),
    ],
)
def test_wrong_variables_are_errors(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=words):
        load_settings(tree())


def test_kubernetes_service_variables_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("LABELSTREAM_PORT_8000_TCP_ADDR", "10.0.0.1")
    load_settings(tree())


def test_secrets_stay_out_of_what_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA__SECURITY__PASSWORD", "hunter2")
    config = tree()
    config["kafka"]["security"] = {"protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "u"}
    settings = load_settings(config)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(without_secrets(settings))
    again = load_settings(without_secrets(settings))
    assert again == settings
    assert secret_of(again.kafka.security.password, None, "k") == "hunter2"


def test_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    assert secret_of(None, tmp_path / "password", "k") == "hunter2"
    with pytest.raises(ConfigError, match="cannot be read"):
        secret_of(None, tmp_path / "nothing", "k")


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "not valid YAML at line 1"), ("", "empty"), ("- 1", "not a mapping"), (None, "cannot be read")],
)
def test_unreadable_files(tmp_path: Path, text: str | None, words: str) -> None:
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
def test_any_tree_is_settings_or_one_config_error(value: Any) -> None:
    for key in ("kafka", "models", "pipelines"):
        with pytest.raises(ConfigError):
            load_settings(tree() | {key: value} if not isinstance(value, dict) or value else {key: value})


@pytest.mark.parametrize("endpoint", ["https://user:password@collector/v1/traces", "http://token@collector:4318"])
def test_tracing_endpoint_holds_no_login(endpoint: str) -> None:
    with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        TracingSettings(endpoint=endpoint)
    assert "password" not in refused.value.errors(include_input=False, include_url=False)[0]["msg"]
