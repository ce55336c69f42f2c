"""When the next poll is due."""

import time
from collections.abc import Callable

import pytest

from labelstream.workers.stream.pipeline import POLL_MS
from tests.support.pipeline_bench import Bench, message


def test_poll_delay_depends_on_last_poll_size(benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.BUSY_WAIT_S", 10)
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.PARTIAL_WAIT_S", 10)
    bench = benches(max_poll_records=2)
    bench.classifier.gate.clear()
    bench.feed(message("a"), message("b"))
    bench.feed(message("c"), first=2)
    for _ in range(2):
        bench.pipeline.run_once(True)
    assert bench.source.waiting == []
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.PARTIAL_WAIT_S", 0.01)
    other = benches()
    other.classifier.gate.clear()
    other.feed(message("a"))
    other.feed(message("b"), first=1)
    started = time.monotonic()
    for _ in range(2):
        other.pipeline.run_once(True)
    assert other.source.waiting == []
    assert time.monotonic() - started >= 0.01


def test_no_answer_waits_for_a_poll(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.pipeline.run_once(True)
    bench.feed(message("a"))
    bench.pipeline.run_once(True)
    bench.pipeline.run_once(True)
    assert bench.source.timeouts_ms == [POLL_MS, POLL_MS, 0]
