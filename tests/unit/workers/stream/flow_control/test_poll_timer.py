"""When the next poll is due."""

from collections.abc import Callable

import pytest

from labelstream.workers.stream.flow_control.poll_timer import (
    BUSY_WAIT_S,
    PARTIAL_WAIT_S,
    PAUSED_WAIT_S,
    PollTimer,
)
from labelstream.workers.stream.pipeline import POLL_MS
from tests.support.clock import Clock
from tests.support.pipeline_bench import Bench, message


@pytest.mark.parametrize(
    ("count", "full", "wait_s"), [(2, True, 0), (1, False, PARTIAL_WAIT_S), (0, False, BUSY_WAIT_S)]
)
def test_poll_delay_depends_on_last_poll_size(count: int, full: bool, wait_s: float) -> None:
    clock = Clock()
    timer = PollTimer(clock)
    assert timer.wait_s(paused=False) == 0
    clock.now += 1
    timer.polled(count, full)
    assert timer.polled_at == clock.now
    assert timer.wait_s(paused=False) == pytest.approx(wait_s)
    assert timer.wait_s(paused=True) == pytest.approx(PAUSED_WAIT_S)
    clock.now += 0.001
    assert timer.wait_s(paused=False) == pytest.approx(wait_s - 0.001)
    timer.skip_wait()
    assert timer.wait_s(paused=False) <= 0


def test_full_poll_is_followed_at_once(benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.BUSY_WAIT_S", 10)
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.PARTIAL_WAIT_S", 10)
    bench = benches(max_poll_records=2)
    bench.classifier.gate.clear()
    bench.feed(message("a"), message("b"))
    bench.feed(message("c"), first=2)
    for _ in range(2):
        bench.pipeline.run_once(True)
    assert bench.source.waiting == []


def test_partial_poll_is_followed_after_its_wait(
    benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.BUSY_WAIT_S", 10)
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.feed(message("b"), first=1)
    for _ in range(2):
        bench.pipeline.run_once(True)
    assert bench.source.waiting == []


def test_no_answer_waits_for_a_poll(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.pipeline.run_once(True)
    bench.feed(message("a"))
    bench.pipeline.run_once(True)
    bench.pipeline.run_once(True)
    assert bench.source.timeouts_ms == [POLL_MS, POLL_MS, 0]
