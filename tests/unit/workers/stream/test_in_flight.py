"""Micro-batches in flight: in order, counted where they wait for answers, bounded in bytes."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.workers.stream.in_flight import InFlight
from labelstream.workers.stream.record_batch.limits import RECORD_BYTES
from tests.support.fakes import FakeClassifier
from tests.support.pipeline_bench import Bench, message


def batch_of(records: int, weight: int = 0, answered: bool = False) -> Any:
    return SimpleNamespace(records_by_partition=Counter({"in:0": records}), weight=weight, answered=lambda: answered)


def produced_of(batch: Any, rest: Any = None, acknowledged: bool = False) -> Any:
    return SimpleNamespace(batch=batch, rest=rest, poll_acks=lambda: acknowledged)


def in_flight_of(*batches: Any) -> InFlight:
    in_flight = InFlight()
    for batch in batches:
        in_flight.submitted(batch)
    return in_flight


def test_oldest_is_produced_first() -> None:
    first, second = batch_of(1), batch_of(2)
    in_flight = in_flight_of(first, second)
    assert in_flight.next_to_produce() is first
    assert in_flight.oldest_produced() is None
    produced = produced_of(first)
    in_flight.was_produced(produced)
    assert in_flight.next_to_produce() is second
    assert in_flight.oldest_produced() is produced
    assert in_flight.produced() == [first]
    in_flight.was_produced(produced_of(second))
    assert in_flight.next_to_produce() is None
    assert list(in_flight) == [first, second]


def test_rest_of_batch_is_produced_next() -> None:
    whole, later = batch_of(3), batch_of(1)
    head, rest = batch_of(2), batch_of(1)
    in_flight = in_flight_of(whole, later)
    in_flight.was_produced(produced_of(head, rest))
    assert in_flight.next_to_produce() is rest
    assert list(in_flight) == [head, rest, later]


def test_acknowledged_batches_leave_in_order() -> None:
    first, second = batch_of(1), batch_of(2)
    in_flight = in_flight_of(first, second)
    assert list(in_flight.acknowledged()) == []
    waiting, done = produced_of(first), produced_of(second, acknowledged=True)
    in_flight.was_produced(waiting)
    in_flight.was_produced(done)
    assert list(in_flight.acknowledged()) == []  # the first one is not yet
    waiting.poll_acks = lambda: True
    assert list(in_flight.acknowledged()) == [waiting, done]
    assert len(in_flight) == 0


def test_aborted_batches_are_produced_before_any_other() -> None:
    first, second, third = batch_of(1), batch_of(2), batch_of(3)
    in_flight = in_flight_of(first, second, third)
    in_flight.was_produced(produced_of(first))
    in_flight.was_produced(produced_of(second))
    again = batch_of(2)
    in_flight.produce_again([first, again])
    assert list(in_flight) == [first, again, third]
    assert in_flight.produced() == []
    assert in_flight.next_to_produce() is first


def test_counts_are_of_all_in_flight() -> None:
    in_flight = in_flight_of(batch_of(1, 10, answered=True), batch_of(2, 20), batch_of(3, 30, answered=True))
    assert (in_flight.weight(), in_flight.records_by_partition()) == (60, Counter({"in:0": 6}))
    assert in_flight.unanswered() == 1


def test_order_survives_answers_out_of_order(benches: Callable[..., Bench]) -> None:
    slow, fast = FakeClassifier(), FakeClassifier()
    slow.gate.clear()
    bench = benches(classifiers={"m": slow, "other": fast}, models=["other"])
    bench.feed(message("a"), message("b", model="other"))
    bench.feed(message("c", model="other"), first=2)
    bench.turn_until(lambda: not bench.source.waiting)
    for _ in range(10):
        bench.pipeline.run_once(True)
    assert bench.producer.sent == []
    slow.gate.set()
    bench.run_dry()
    assert [r["source"]["offset"] for r in bench.producer.results()] == [0, 1, 2]
    assert [r["model"] for r in bench.producer.results()] == ["m", "other", "other"]
    slow.close()
    fast.close()


def test_what_waits_for_its_turn_keeps_no_replica_busy(benches: Callable[..., Bench]) -> None:
    slow, fast = FakeClassifier(), FakeClassifier()
    slow.gate.clear()
    bench = benches(classifiers={"m": slow, "other": fast}, models=["other"])
    bench.pipeline.set_target_in_flight(2)
    bench.feed(message("a"))
    for i in range(1, 100):
        bench.feed(message("b", model="other"), first=i)
    bench.turn_until(lambda: bench.pipeline.monitor.in_flight().total() == 64)  # of which one is not answered
    for _ in range(10):
        bench.pipeline.run_once(True)
    assert bench.pipeline.monitor.in_flight().total() == 64
    slow.gate.set()
    bench.run_dry()
    assert [result["source"]["offset"] for result in bench.producer.results()] == list(range(100))
    slow.close()
    fast.close()


@pytest.mark.parametrize("size", [100_000, 2_000_000])
def test_what_is_in_flight_has_a_limit_in_bytes(benches: Callable[..., Bench], size: int) -> None:
    """One record larger than that passes alone."""
    bench = benches(max_bytes=1 << 20, max_in_flight=64, max_poll_records=3)
    bench.classifier.gate.clear()
    bench.producer.hold = True
    values = [message("x" * size, id=number) for number in range(21)]
    bench.feed(*values)
    fit = max(1, (1 << 20) // (len(values[-1]) + 1 + RECORD_BYTES))
    for _ in range(20):
        bench.pipeline.run_once(True)
    assert bench.pipeline.monitor.in_flight().total() == fit
    bench.classifier.gate.set()
    bench.turn_until(lambda: len(bench.producer.acks) == fit)
    for _ in range(5):
        bench.pipeline.run_once(True)
    assert len(bench.source.waiting[0]) == 21 - fit  # answered is not acknowledged
    bench.producer.hold = False
    for ack in bench.producer.acks:
        ack.success(None)
    bench.run_dry()
    letters = 21 if size > 1 << 20 else 0  # which is more than limits.max_message_bytes as well
    assert len(bench.producer.letters()) == letters
    assert [result["id"] for result in bench.producer.results()] == list(range(21 - letters))
