"""The section `tracing`: endpoints that hold a login."""

import pytest
from pydantic import ValidationError

from labelstream.workers.settings.telemetry import TracingSettings


@pytest.mark.parametrize("endpoint", ["https://user:password@collector/v1/traces", "http://token@collector:4318"])
def test_tracing_endpoint_with_a_login_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        TracingSettings(endpoint=endpoint)
    assert "password" not in refused.value.errors(include_input=False, include_url=False)[0]["msg"]
