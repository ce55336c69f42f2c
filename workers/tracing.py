"""Spans of a micro-batch's way, by OpenTelemetry's API: nothing happens where nobody has set its SDK up.

A micro-batch is a span "process TOPIC" (https://opentelemetry.io/docs/specs/semconv/messaging/), linked to the traces
that its messages bring along in the header `traceparent` (https://www.w3.org/TR/trace-context/). Calls to a model are
its children, what the device runs a child of the first call in it, linked to all that were joined. No text in any.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"
MAX_LINKS = 128  # the SDK's own limit
_W3C = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("labelstream")
Headers = Iterable[tuple[str, bytes | None]]


def micro_batch(topic: str, headers: Iterable[Headers], messages: int) -> Span:
    """Begins with the poll; to be ended by `end` when everything is acknowledged, or committed."""
    span = _tracer.start_span(
        f"process {topic}",
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.name": "poll",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.batch.message_count": messages,
        },
    )
    if span.is_recording():
        for context in _contexts(_brought_along(headers)):
            span.add_link(context)
    return span


def call(model: str, requests: int) -> Span:
    """One call to a model, a child of the current span; to be ended by `end`."""
    return _tracer.start_span(
        f"classify {model}",
        kind=SpanKind.CLIENT,
        attributes={
            "labelstream.model": model,
            "labelstream.requests": requests,
        },
    )


def forward(callers: Iterable[str | None], sequences: int, tokens: int) -> Span:
    """What the device runs for all `callers`, given by their `here`; to be ended. Nothing where none is traced."""
    contexts = list(_contexts(caller for caller in callers if caller))
    if not contexts:
        return trace.INVALID_SPAN
    attributes = {"labelstream.sequences": sequences, "labelstream.tokens": tokens}
    # Of the first caller's trace, so that it is sampled where that is, and seen there.
    parent = trace.set_span_in_context(trace.NonRecordingSpan(contexts[0]))
    return _tracer.start_span("forward", parent, links=[Link(context) for context in contexts], attributes=attributes)


def within(span: Span) -> AbstractContextManager[Span]:
    """What begins within is a child of `span`."""
    return trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False)


def end(span: Span, error: BaseException | None = None) -> None:
    if error is not None:
        span.set_status(StatusCode.ERROR, type(error).__name__)  # its text may be long, and is in the log
    span.end()


def here() -> str | None:
    """The current span for another process, if it is traced."""
    if not trace.get_current_span().get_span_context().trace_flags.sampled:
        return None
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(HEADER)


def _brought_along(headers: Iterable[Headers]) -> Iterator[str]:
    for own in headers:
        for name, value in own:
            if name == HEADER and value is not None:
                yield value.decode("ascii", "replace")


def _contexts(parents: Iterable[str]) -> Iterator[SpanContext]:
    """At most `MAX_LINKS`, each once; what is no traceparent is passed over."""
    for parent in list(dict.fromkeys(parents))[:MAX_LINKS]:
        context = trace.get_current_span(_W3C.extract({HEADER: parent})).get_span_context()
        if context.is_valid:
            yield context
