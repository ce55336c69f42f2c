"""How many bytes a poll may bring in."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.stream.flow_control.poll_budget import FIRST_TURN_BYTES, MAX_TURN_BYTES, ByteBudget, PollBudget
from tests.support.clock import Clock
from tests.support.fakes import FakeClassifier
from tests.support.pipeline_bench import Bench, message

MIB = 1 << 20


def fill(room: PollBudget, weight: int = MIB // 16) -> PollBudget:
    while room.takes(weight):
        pass
    return room


def test_what_does_not_fit_waits_with_all_that_follows_it() -> None:
    room = PollBudget(max_bytes=10)
    assert [room.takes(weight) for weight in (4, 6)] == [True, True]
    assert (room.taken, room.full) == (10, False)
    assert not room.takes(1)
    assert (room.taken, room.full) == (10, True)


def test_first_record_may_exceed_turn_but_not_budget() -> None:
    budget = ByteBudget(64 * MIB)
    room = budget.next_poll(in_flight=4 * MIB)
    assert room.takes(60 * MIB)
    assert not room.takes(1)
    assert not budget.next_poll(in_flight=4 * MIB).takes(60 * MIB + 1)


def test_any_record_passes_when_nothing_is_in_flight() -> None:
    room = ByteBudget(MIB).next_poll(in_flight=0)
    assert room.takes(100 * MIB)
    assert not room.takes(1)


@given(st.lists(st.integers(1, 3 * MIB)), st.integers(0, 4 * MIB))
def test_the_budget_holds(weights: list[int], in_flight: int) -> None:
    budget = ByteBudget(2 * MIB)
    room = budget.next_poll(in_flight)
    found = [room.takes(weight) for weight in weights]
    assert room.taken == sum(weight for weight, taken in zip(weights, found, strict=True) if taken)
    assert in_flight + room.taken <= max(2 * MIB, in_flight) or (not in_flight and sum(found) == 1)
    assert budget.spent(in_flight) == (in_flight >= 2 * MIB)


def test_a_turn_gets_more_as_long_as_it_is_short_and_more_is_there() -> None:
    budget = ByteBudget(1 << 30)
    assert fill(budget.next_poll(0)).taken == FIRST_TURN_BYTES
    for _ in range(10):
        budget.observe(fill(budget.next_poll(0)), 0.1)
    assert fill(budget.next_poll(0)).taken == MAX_TURN_BYTES
    budget = ByteBudget(1 << 30)
    small = budget.next_poll(0)
    assert small.takes(100)
    budget.observe(small, 0.001)
    assert fill(budget.next_poll(0)).taken == FIRST_TURN_BYTES


@pytest.mark.parametrize("s_per_mib", [0.3, 2.0, 20.0])
def test_a_turn_soon_takes_a_second_whatever_the_texts_are(s_per_mib: float) -> None:
    budget, seconds = ByteBudget(1 << 30), 0.0
    for _ in range(20):
        room = fill(budget.next_poll(0), 1_000)
        seconds = room.taken / MIB * s_per_mib
        budget.observe(room, seconds)
    assert 0.4 <= seconds <= 1.0


def test_polls_follow_what_a_turn_can_do(benches: Callable[..., Bench]) -> None:
    """Where tokenizing takes 10 ms for 1 KB, the micro-batch of 1 MiB that comes first is the only one of its kind."""
    clock = Clock()
    sizes: list[int] = []

    class Slow(FakeClassifier):
        def submit(self, requests: Any, progress: Any = None) -> Any:
            sizes.append(len(requests))
            clock.now += 0.02 * len(requests)
            return super().submit(requests, progress)

    bench = benches(max_in_flight=1, classifier=Slow(), clock=clock)
    bench.feed(*(message("x" * 10_000) for _ in range(300)))
    bench.run_dry()
    assert sizes[0] > 80
    assert max(sizes[1:]) <= 50 + 1
