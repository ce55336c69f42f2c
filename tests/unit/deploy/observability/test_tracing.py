"""The SDK of spans: set up where it is asked for, with what the spans say of their place."""

import importlib.util
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from labelstream.deploy.observability import tracing
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.telemetry import TracingSettings

ENDPOINT = "http://127.0.0.1:9/v1/traces"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> list[TracerProvider]:
    """The provider of this process, as it is set; never for good."""
    found: list[TracerProvider] = []
    monkeypatch.setattr(trace, "set_tracer_provider", found.append)
    return found


def test_nothing_is_set_up_without_an_endpoint(provider: list[TracerProvider]) -> None:
    tracing.set_up(TracingSettings(), replica="r1")
    assert provider == []


def test_spans_say_where_they_were_made(provider: list[TracerProvider]) -> None:
    tracing.set_up(TracingSettings(endpoint=ENDPOINT, sample=0.25), deployment="model-m", replica="r1")
    [made] = provider
    try:
        attributes: Any = made.resource.attributes
        assert attributes["service.name"] == "labelstream"
        assert attributes["labelstream.deployment"] == "model-m"
        assert attributes["labelstream.replica"] == "r1"
        assert "0.25" in made.sampler.get_description()
    finally:
        made.shutdown()


@pytest.mark.parametrize("missing", ["module", "parent"])
def test_missing_exporter_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def find(name: str) -> None:
        if missing == "parent":
            raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(ConfigError, match=r"tracing\.endpoint: needs OpenTelemetry's exporter; pip install"):
        tracing.check(TracingSettings(endpoint=ENDPOINT))
    tracing.check(TracingSettings())
