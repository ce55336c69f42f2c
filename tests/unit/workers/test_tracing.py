"""Spans of micro-batches link to their messages' traces, and spans of forwards to their calls."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from labelstream.workers import tracing
from labelstream.workers.classifier import Progress, Request
from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher
from labelstream.workers.engine.ragged import RaggedSequences
from tests.support.fake_handle import by_length
from tests.support.pipeline_bench import Bench, message

ONE, TWO = (f"00-{number:032x}-{number:016x}-01" for number in (1, 2))
PACKED = RaggedSequences(np.zeros(3, np.int32), np.array([3], np.int32))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return found


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.trace_id for link in span.links]


def test_micro_batch_links_to_its_messages_traces(spans: InMemorySpanExporter) -> None:
    headers: Sequence[Any] = [
        [("a", b"b"), ("traceparent", ONE.encode())],
        [("traceparent", b"\xffnonsense")],
        [("traceparent", None)],
        [("traceparent", TWO.encode())],
        [("traceparent", ONE.encode())],
    ]
    tracing.end(tracing.micro_batch({"in"}, headers, 5))
    (span,) = spans.get_finished_spans()
    assert span.name == "process in"
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 5
    assert linked(span) == [1, 2]


def test_links_are_limited_to_the_sdk_maximum(spans: InMemorySpanExporter) -> None:
    many = [[("traceparent", f"00-{number:032x}-{number:016x}-01".encode())] for number in range(1, 500)]
    tracing.end(tracing.micro_batch({"in"}, many, len(many)))
    assert len(spans.get_finished_spans()[0].links) == tracing.MAX_LINKS


def test_forward_span_links_to_every_batched_call(spans: InMemorySpanExporter) -> None:
    callers = [tracing.call("m", 1) for _ in range(2)]
    parents = []
    for caller in callers:
        with tracing.within(caller):
            parents.append(tracing.here())
    start: Future[None] = Future()
    with ThreadPoolExecutor(1) as device:
        device.submit(start.result)
        batcher = DynamicBatcher(
            device, lambda packed, top_k, _: lambda: by_length(packed, top_k, ""), 100, 0.0, span=tracing.forward
        )
        answers = [batcher.submit(PACKED, 1, trace) for trace in (*parents, None)]
        start.set_result(None)
        for answer in answers:
            answer.result(10)
    (forward,) = spans.get_finished_spans()
    assert forward.name == "forward"
    assert [link.context.span_id for link in forward.links] == [caller.get_span_context().span_id for caller in callers]
    assert forward.parent is not None
    assert forward.parent.span_id == callers[0].get_span_context().span_id
    assert dict(forward.attributes or {}) == {"labelstream.sequences": 3, "labelstream.tokens": 9}


def test_untraced_call_has_no_forward_span(spans: InMemorySpanExporter) -> None:
    tracing.end(tracing.forward([None, None], 1, 1))
    assert spans.get_finished_spans() == ()
    assert tracing.here() is None


def test_micro_batch_span_ends_on_ack_with_attempts_as_children(
    spans: InMemorySpanExporter, benches: Callable[..., Bench]
) -> None:
    bench = benches()
    seen: list[str | None] = []
    submit = bench.classifier.submit

    def traced(requests: Sequence[Request], progress: Progress | None) -> Any:
        seen.append(tracing.here())
        return submit(requests, progress)

    bench.classifier.submit = traced  # type: ignore[method-assign]
    bench.feed(message("one"), message("two"))
    bench.run_dry()
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert [str(parent)[:-3] for parent in seen] == [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"]


def test_nothing_is_traced_by_default() -> None:
    span = tracing.micro_batch({"in"}, [[("traceparent", ONE.encode())]], 1)
    assert not span.is_recording()
    tracing.end(span)
