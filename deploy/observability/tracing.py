"""Sets up OpenTelemetry's SDK in this process if `tracing.endpoint` is set."""

import importlib.util

from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.telemetry import TracingSettings

EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def check(settings: TracingSettings) -> None:
    """Raises ConfigError if spans are configured and their exporter is not installed."""
    if settings.endpoint is None:
        return
    try:
        found = importlib.util.find_spec(EXPORTER)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigError(
            "tracing.endpoint",
            "needs OpenTelemetry's exporter",
            "pip install opentelemetry-exporter-otlp-proto-http, in the image of the cluster's nodes as well",
        )


def set_up(settings: TracingSettings, **place: str) -> None:
    """Call once in a process. `place`: attributes that say where spans were made.

    The exporter itself reads headers for the endpoint, with their secrets, from OTEL_EXPORTER_OTLP_HEADERS. Raises
    ConfigError.
    """
    check(settings)
    if settings.endpoint is None:
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create(
        {"service.name": "labelstream", **{f"labelstream.{name}": value for name, value in place.items()}}
    )
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.sample)))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint)))
    trace.set_tracer_provider(provider)
