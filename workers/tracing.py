"""OpenTelemetry spans of micro-batches, calls and forwards. Without a configured SDK they do nothing.

- "process TOPIC": one micro-batch (https://opentelemetry.io/docs/specs/semconv/messaging/), linked to the traces in its
  messages' `traceparent` headers (https://www.w3.org/TR/trace-context/);
- "classify MODEL": one call to a model, a child of the micro-batch;
- "forward": one batch on the device, a child of its first call, linked to all of its calls.

No span holds a message's text.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"
MAX_LINKS = 128  # the SDK's own limit
_W3C = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("labelstream")
Headers = Iterable[tuple[str, bytes | None]]


def micro_batch(topics: Collection[str], headers: Iterable[Headers], messages: int) -> Span:
    """Start the span at the poll. The caller calls `end` when all results are acknowledged or committed.

    The span names the topic if all messages come from one.
    """
    [topic] = topics if len(topics) == 1 else [""]
    span = _tracer.start_span(
        f"process {topic}" if topic else "process",
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.name": "poll",
            "messaging.operation.type": "process",
            "messaging.batch.message_count": messages,
            **({"messaging.destination.name": topic} if topic else {}),
        },
    )
    if span.is_recording():
        for context in _contexts(_traceparents(headers)):
            span.add_link(context)
    return span


def call(model: str, requests: int) -> Span:
    """Start the span of one call to a model, a child of the current span. The caller calls `end`."""
    return _tracer.start_span(
        f"classify {model}",
        kind=SpanKind.CLIENT,
        attributes={
            "labelstream.model": model,
            "labelstream.requests": requests,
        },
    )


def forward(callers: Iterable[str | None], sequences: int, tokens: int) -> Span:
    """Start the span of one batch on the device. The caller ends it.

    `callers`: each call's `here()`. Without any traced caller the span records nothing.
    """
    contexts = list(_contexts(caller for caller in callers if caller))
    if not contexts:
        return trace.INVALID_SPAN
    attributes = {"labelstream.sequences": sequences, "labelstream.tokens": tokens}
    # A child of the first caller's span: sampled as that is, and shown in its trace.
    parent = trace.set_span_in_context(trace.NonRecordingSpan(contexts[0]))
    return _tracer.start_span("forward", parent, links=[Link(context) for context in contexts], attributes=attributes)


def within(span: Span) -> AbstractContextManager[Span]:
    """Make `span` the parent of spans that start within the block."""
    return trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False)


def end(span: Span, error: BaseException | None = None) -> None:
    if error is not None:
        span.set_status(StatusCode.ERROR, type(error).__name__)  # the log has the text, which may be long
    span.end()


def here() -> str | None:
    """The current span's `traceparent`, for another process; None if it is not sampled."""
    if not trace.get_current_span().get_span_context().trace_flags.sampled:
        return None
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(HEADER)


def _traceparents(headers: Iterable[Headers]) -> Iterator[str]:
    for message_headers in headers:
        for name, value in message_headers:
            if name == HEADER and value is not None:
                yield value.decode("ascii", "replace")


def _contexts(parents: Iterable[str]) -> Iterator[SpanContext]:
    """The distinct valid contexts among the first `MAX_LINKS` distinct `parents`."""
    for parent in list(dict.fromkeys(parents))[:MAX_LINKS]:
        context = trace.get_current_span(_W3C.extract({HEADER: parent})).get_span_context()
        if context.is_valid:
            yield context
