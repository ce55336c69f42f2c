"""The way of the data, with a source and a producer that the test holds in its hands."""

import threading
import time
from collections.abc import Callable

import pytest

from labelstream.workers.stream.model_call import RETRY_FIRST_S
from labelstream.workers.stream.pipeline import POLL_MS
from tests.support.pipeline_bench import A, Bench, message, run_dry, turns


def test_bad_neighbours_do_no_harm(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.feed(message("ab"), b"{", message("poison"), None, message("abc"), message(" "))
    bench.run_dry()
    assert [r["source"]["offset"] for r in bench.producer.results()] == [0, 4]
    letters = bench.producer.letters()
    assert [letter["labelstream.reason"] for letter in letters] == ["invalid_json", "inference_failed", "empty_text"]
    assert [letter["__connect.errors.offset"] for letter in letters] == ["1", "2", "5"]
    assert letters[1]["labelstream.attempts"] == "2"
    assert letters[1]["labelstream.model"] == "m"
    assert letters[0]["value"] == "{"
    assert bench.source.commits[-1] == {A: 6}
    assert bench.stats.snapshot()["skipped"] == 1


def test_pressure_pauses_but_polling_goes_on(benches: Callable[..., Bench]) -> None:
    bench = benches(max_in_flight=2)
    bench.classifier.gate.clear()
    for i in range(5):
        bench.feed(message("a"), first=i)
    for _ in range(6):
        bench.pipeline.run_once(True)
    assert len(bench.source.waiting) == 3
    assert bench.source.polls[2:] == [True] * (len(bench.source.polls) - 2)
    assert bench.pipeline.monitor.in_flight() == {"in:0": 2}
    bench.classifier.gate.set()
    bench.run_dry()
    assert len(bench.producer.results()) == 5


def test_a_model_in_trouble_is_given_nothing_more(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.paused = "paused: replicas die"
    bench.feed(message("a"))
    started = time.monotonic()
    for _ in range(3):
        bench.pipeline.run_once(True)
    assert bench.source.polls == [True] * 3
    assert bench.source.timeouts_ms == [POLL_MS] * 3  # the thread does not spin meanwhile
    assert time.monotonic() - started < 10
    assert bench.pipeline.monitor.paused()
    assert bench.pipeline.resume() == 0
    assert bench.pipeline.resume() is None
    bench.run_dry()
    assert len(bench.producer.results()) == 1


def test_an_answer_and_its_acknowledgement_go_before_the_next_poll(
    benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.PARTIAL_WAIT_S", 10)
    bench = benches()
    bench.classifier.gate.clear()
    bench.producer.hold = True
    bench.feed(message("a"))
    bench.pipeline.run_once(True)
    threading.Timer(0.1, bench.classifier.gate.set).start()
    bench.pipeline.run_once(True)  # woken by the answer
    assert (len(bench.producer.sent), len(bench.source.polls)) == (0, 1)
    threading.Timer(0.1, lambda: bench.producer.acks[0].success(None)).start()
    bench.pipeline.run_once(True)  # sends, and is woken by the acknowledgement
    assert (len(bench.producer.sent), len(bench.source.polls)) == (1, 1)
    bench.pipeline.run_once(True)
    assert bench.pipeline.drained()
    assert bench.source.timeouts_ms == [POLL_MS, POLL_MS]


def test_answered_batch_is_produced_before_next_poll(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.feed(message("a"))
    bench.pipeline.run_once(True)
    [batch] = bench.pipeline._in_flight
    batch.calls[0].future.result(10)
    bench.pipeline._poll(True)
    assert len(bench.source.polls) == 1


@pytest.mark.parametrize(("setting", "expected"), [("auto", 3), (2, 2)])
def test_as_much_is_in_flight_as_keeps_the_replicas_busy(
    benches: Callable[..., Bench], setting: int | str, expected: int
) -> None:
    bench = benches(max_in_flight=setting)
    bench.classifier.gate.clear()
    bench.pipeline.set_target_in_flight(3)
    for i in range(10):
        bench.feed(message("a"), first=i)
    for _ in range(12):
        bench.pipeline.run_once(True)
    assert bench.pipeline.monitor.in_flight() == {"in:0": expected}
    bench.pipeline.set_target_in_flight(1_000_000)
    for _ in range(12):
        bench.pipeline.run_once(True)
    assert bench.pipeline.monitor.in_flight() == {"in:0": 10 if setting == "auto" else expected}
    bench.classifier.gate.set()
    bench.run_dry()
    assert len(bench.producer.results()) == 10


def test_results_of_a_partition_that_was_lost_are_dropped(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    bench.source.assignment.on_partitions_lost({A})
    bench.classifier.gate.set()
    bench.turn_until(bench.pipeline.drained)
    assert bench.producer.sent == []
    assert bench.source.assignment.committable() == {}


def test_revoked_partition_drains_before_next_poll(
    benches: Callable[..., Bench],
) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    bench.source.assignment.on_partitions_revoked({A})
    polls = len(bench.source.polls)
    for _ in range(5):
        bench.pipeline.run_once(accept=True)
    assert len(bench.source.polls) == polls  # the next poll gives the partition up
    bench.classifier.gate.set()
    bench.turn_until(lambda: len(bench.source.polls) > polls)
    assert len(bench.producer.results()) == 1
    assert bench.source.commits == [{A: 0}, {A: 1}]


def test_revoked_partition_is_released_after_drain_timeout(benches: Callable[..., Bench]) -> None:
    bench = benches(rebalance_drain_s=0.2)
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    bench.source.assignment.on_partitions_revoked({A})
    polls = len(bench.source.polls)
    bench.turn_until(lambda: len(bench.source.polls) > polls)
    bench.classifier.gate.set()
    bench.turn_until(bench.pipeline.drained)
    assert bench.producer.sent == []
    assert bench.source.commits in ([], [{A: 0}])


def test_a_model_that_never_answers_keeps_the_loop_turning(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.fail_next = 1_000
    bench.feed(message("a"))
    bench.turn_until(lambda: bench.stats.snapshot()["retries"] == 1)
    started = time.monotonic()
    for _ in range(10):
        bench.pipeline.run_once(False)
    assert bench.stats.snapshot()["retries"] <= 2 + (time.monotonic() - started) / RETRY_FIRST_S
    assert bench.producer.sent == []
    assert not bench.pipeline.drained()


def test_suspect_is_not_read_before_in_flight_is_committed(bench: Bench) -> None:
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: bool(bench.pipeline.monitor.in_flight()))
    bench.source.suspects = True
    bench.feed(message("b"), first=1)
    turns(bench)
    assert len(bench.source.waiting) == 1
    bench.classifier.gate.set()
    bench.turn_until(lambda: not bench.source.waiting)
    assert bench.source.commits[-1] == {A: 1}, "what came before it is committed, though no commit was due"


def test_what_goes_on_after_its_answer_is_noted_first(bench: Bench) -> None:
    told: list[int] = []
    suspects = bench.source.partition_hold.suspects
    suspects.is_waiting, suspects.go_on = True, lambda: told.append(len(bench.producer.sent))
    bench.feed(message("a"))
    run_dry(bench)
    assert told == [0]
