"""The sections `logs` and `tracing`."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from labelstream.workers.section import Section
from labelstream.workers.settings.forms import URL


class LogSettings(Section):
    """Log lines of workers, replicas and the control plane, on stderr."""

    format: Literal["text", "json"] = Field(
        default="text", description="Format of a log line: text, or a JSON object for log collectors."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level of the log lines that are written."
    )


class TracingSettings(Section):
    """OpenTelemetry spans: where they go, and how many micro-batches have them."""

    endpoint: str | None = Field(
        default=None,
        pattern=URL,
        description="URL that receives spans as OTLP over HTTP; null exports none. Headers, such as a login, come from"
        " the environment: OTEL_EXPORTER_OTLP_HEADERS.",
    )
    sample: float = Field(
        default=0.01, ge=0, le=1, description="Share of micro-batches, 0 to 1, that are traced; raise it to debug."
    )

    @field_validator("endpoint")
    @classmethod
    def _without_login(cls, endpoint: str | None) -> str | None:
        # The endpoint is readable in the actors' arguments and in the RayService.
        if endpoint is not None and "@" in urlsplit(endpoint).netloc:
            raise ValueError("holds a login; move the login to the environment variable OTEL_EXPORTER_OTLP_HEADERS")
        return endpoint


class Telemetry(Section):
    """The log and tracing settings, which every process of the application gets."""

    logs: LogSettings = Field(default=LogSettings(), description="Format and level of log lines.")
    tracing: TracingSettings = Field(default=TracingSettings(), description="Export of OpenTelemetry spans.")
