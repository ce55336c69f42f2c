"""Who keeps a pipeline waiting, and for how long, on a clock that the test turns."""

from collections.abc import Callable

from labelstream.workers.classifier import Fault
from tests.support.clock import Clock
from tests.support.pipeline_bench import Bench, message


def waiting(benches: Callable[..., Bench], clock: Clock) -> Bench:
    """For a model's answer."""
    bench = benches(clock=clock)
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    return bench


def test_time_without_an_answer_is_told(benches: Callable[..., Bench]) -> None:
    clock = Clock()
    monitor = waiting(benches, clock).pipeline.monitor
    clock.now += 5
    assert monitor.oldest_s() == 5
    assert monitor.awaited() == {"model m": 5}


def test_batch_at_a_model_in_trouble_is_not_overdue(benches: Callable[..., Bench]) -> None:
    clock = Clock()
    bench = waiting(benches, clock)
    clock.now += 5
    bench.classifier.paused = "paused: replicas die"
    assert bench.pipeline.monitor.paused()
    assert bench.pipeline.monitor.troubles() == {"m": "paused: replicas die"}
    assert bench.pipeline.monitor.oldest_s() == 0
    assert bench.pipeline.monitor.awaited() == {}


def test_call_with_answered_parts_is_not_silent(benches: Callable[..., Bench]) -> None:
    clock = Clock()
    bench = waiting(benches, clock)
    clock.now += 5
    (batch,) = bench.pipeline._in_flight
    batch.calls[0]._progress.at = clock.now
    clock.now += 1
    assert bench.pipeline.monitor.oldest_s() == 1
    assert bench.pipeline.monitor.awaited() == {"model m": 1}


def test_failed_call_counts_as_heard_of(benches: Callable[..., Bench]) -> None:
    """Another worker would find the same model; but the model still owes an answer."""
    clock = Clock()
    bench = waiting(benches, clock)
    clock.now += 5
    bench.classifier.fail_next = 1
    bench.classifier.gate.set()
    bench.turn_until(lambda: bench.stats.snapshot()["retries"] == 1)
    assert bench.pipeline.monitor.oldest_s() == 0
    assert bench.pipeline.monitor.awaited() == {"model m": 5}


def test_who_owes_something_is_named(benches: Callable[..., Bench]) -> None:
    clock = Clock()
    bench = benches(clock=clock)
    bench.feed(b"{")
    bench.turn_until(lambda: bool(bench.stats.snapshot()["dead_letters"]))
    bench.producer.hold = True
    bench.feed(message("good"), b"{", first=1)
    bench.turn_until(lambda: len(bench.producer.sent) == 3)
    assert [*bench.pipeline.monitor.awaited()] == ["topic dlq"]
    bench.producer.acks[1].success(None)
    bench.pipeline.run_once(accept=True)
    assert [*bench.pipeline.monitor.awaited()] == ["topic out"]
    bench.producer.acks[2].success(None)
    bench.producer.hold = False
    bench.run_dry()
    bench.classifier.gate.clear()
    bench.feed(message("good"), first=3)
    bench.turn_until(lambda: not bench.source.waiting)
    clock.now += 2
    assert bench.pipeline.monitor.awaited() == {"model m": 2}
    bench.classifier.gate.set()
    bench.run_dry()
    assert bench.pipeline.monitor.awaited() == {}


def test_a_call_that_fails_has_given_no_answer(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.fail_next = 1
    bench.feed(message("good"))
    bench.turn_until(lambda: bench.stats.snapshot()["retries"] == 1)
    assert [*bench.pipeline.monitor.awaited()] == ["model m"]
    assert Fault.INFERENCE_FAILED.value not in bench.stats.snapshot()["dead_letters"]
