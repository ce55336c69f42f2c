"""Interactive calls run between two forwards of a batch, and harm no other call."""

from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.errors import InferenceError
from tests.support.clock import Clock
from tests.support.forward_device import FAILS, RAISES, SECONDS_PER_TOKEN, ForwardDevice, Jobs, labels_of, packed


class Bench:
    """A batcher on a fake clock whose device runs forward by forward. Calls arrive during forwards."""

    def __init__(self, full_tokens: int = 100, forward_tokens: int = 10, overlaps: bool = False) -> None:
        self.clock, self.jobs = Clock(), Jobs()
        self.device = ForwardDevice(self.clock, forward_tokens, overlaps)
        self.ended: list[tuple[bool, int]] = []
        self.batcher = DynamicBatcher(
            self.jobs, self.device.begin, full_tokens, 0.0, overlaps=overlaps, clock=self.clock
        )

    def submit(self, *lengths: int, interactive: bool = False) -> "Future[ScoredSequences]":
        future = self.batcher.submit(packed(*lengths), 1, interactive=interactive)
        future.add_done_callback(lambda _: self.ended.append((interactive, lengths[0])))
        return future

    def during(self, forward: int, *lengths: int) -> "Future[ScoredSequences]":
        """An interactive call that arrives during the forward of this number, counted from 1."""
        waiting: Future[ScoredSequences] = Future()

        def arrive(number: int) -> None:
            before(number)
            if number == forward:
                call = self.submit(*lengths, interactive=True)
                call.add_done_callback(lambda done: waiting.set_result(done.result()))

        before, self.device.during = self.device.during, arrive
        return waiting


def test_interactive_call_enters_between_two_forwards() -> None:
    bench = Bench()
    backlog = bench.submit(*[10] * 5)
    single = bench.during(2, 3)
    bench.jobs.run()
    assert bench.device.forwards == [[10], [10], [3], [10], [10], [10]]
    assert labels_of(single.result(0)) == [[1]]
    assert labels_of(backlog.result(0)) == [[0]] * 5
    assert bench.ended == [(True, 3), (False, 10)]


def test_interruption_counts_as_device_time_once() -> None:
    bench = Bench()
    bench.submit(*[10] * 5)
    bench.during(2, 3)
    bench.jobs.run()
    counts = bench.batcher.counts()
    assert counts["busy_s"] == pytest.approx(53 * SECONDS_PER_TOKEN)
    assert (counts["batches"], counts["calls"], counts["tokens"]) == (2, 2, 53)
    assert bench.batcher.busy_for_s() == 0


def test_busy_for_s_counts_on_after_an_interruption() -> None:
    bench = Bench()
    bench.submit(*[10] * 5)
    bench.during(2, 3)
    before, seen = bench.device.during, []

    def look(number: int) -> None:
        before(number)
        seen.append(bench.batcher.busy_for_s())

    bench.device.during = look
    bench.jobs.run()
    assert seen == pytest.approx([tokens * SECONDS_PER_TOKEN for tokens in (10, 20, 23, 33, 43, 53)])


def test_failing_interactive_call_harms_no_batch() -> None:
    bench = Bench()
    backlog = bench.submit(*[10] * 3)
    failures: list[Future[ScoredSequences]] = []

    def arrive(number: int) -> None:
        if number == 1:
            failures.extend(bench.submit(length, interactive=True) for length in (FAILS, RAISES))

    bench.device.during = arrive
    bench.jobs.run()
    assert labels_of(backlog.result(0)) == [[0]] * 3
    assert str(failures[0].exception(0)) == "unlucky"
    assert "a bug" in str(failures[1].exception(0))


def test_suspect_runs_without_other_calls_in_between() -> None:
    bench = Bench()
    bench.batcher.submit_apart(packed(*[10] * 3), 1, nullcontext())
    single = bench.during(1, 3)
    bench.jobs.run()
    assert bench.device.forwards == [[10], [10], [10], [3]]
    assert labels_of(single.result(0)) == [[1]]


def test_cancelled_interactive_call_costs_no_forward() -> None:
    bench = Bench()
    bench.submit(*[10] * 3)

    def arrive(number: int) -> None:
        bench.submit(4, interactive=True).cancel()

    bench.device.during = arrive
    bench.jobs.run()
    assert bench.device.forwards == [[10], [10], [10]]


def test_close_between_forwards_resolves_interactive_calls() -> None:
    bench = Bench()
    backlog = bench.submit(*[10] * 3)
    later: list[Future[ScoredSequences]] = []

    def close(number: int) -> None:
        later.append(bench.submit(4, interactive=True))
        bench.batcher.close(InferenceError("closed"))

    bench.device.during = close
    bench.jobs.run()
    assert labels_of(backlog.result(0)) == [[0]] * 3
    assert [str(call.exception(0)) for call in later] == ["closed"] * 3


def test_overlapping_device_holds_two_forwards_beside_http() -> None:
    bench = Bench(forward_tokens=4, overlaps=True)
    for _ in range(3):
        bench.submit(*[4] * 6)
    single = bench.during(2, 3)
    bench.jobs.run()
    assert bench.device.forwards[:4] == [[4], [4], [3], [4]]
    assert max(bench.device.ahead[3:]) == 1  # the running one
    assert labels_of(single.result(0)) == [[1]]
    assert [interactive for interactive, _ in bench.ended] == [True, False, False, False]


def test_overlapping_device_holds_slow_forwards_alone_beside_http() -> None:
    bench = Bench(forward_tokens=20, overlaps=True)
    bench.submit(*[20] * 8)
    single = bench.during(1, 3)
    bench.jobs.run()
    assert bench.device.forwards[:2] == [[20], [3]]
    assert bench.device.ahead[3:] == [0] * 6
    assert labels_of(single.result(0)) == [[1]]


def test_overlapping_device_without_http_holds_whole_batches() -> None:
    bench = Bench(forward_tokens=4, overlaps=True)
    for _ in range(3):
        bench.submit(*[4] * 25)
    bench.jobs.run()
    assert max(bench.device.ahead) == 49


Arrivals = st.lists(
    st.tuples(
        st.integers(0, 40),  # the forward during which the call arrives
        st.booleans(),  # interactive
        st.lists(st.integers(1, 20), min_size=1, max_size=6),
        st.booleans(),  # cancelled at once
    ),
    max_size=40,
)


@given(arrivals=Arrivals, overlaps=st.booleans(), closed_at=st.none() | st.integers(0, 40))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_every_call_ends_in_its_lane_order(
    arrivals: list[tuple[int, bool, list[int], bool]], overlaps: bool, closed_at: int | None
) -> None:
    bench = Bench(full_tokens=60, forward_tokens=20, overlaps=overlaps)
    made: list[tuple[bool, list[int], Future[ScoredSequences]]] = []
    ended: list[int] = []

    def note(call: int, future: "Future[ScoredSequences]") -> None:
        if not future.cancelled() and future.exception() is None:
            ended.append(call)

    def arrive(number: int) -> None:
        if number == closed_at:
            bench.batcher.close(InferenceError("closed"))
        for at, interactive, lengths, cancelled in arrivals:
            if at == number:
                future = bench.submit(*lengths, interactive=interactive)
                future.add_done_callback(partial(note, len(made)))
                made.append((interactive, lengths, future))
                if cancelled:
                    future.cancel()

    bench.device.during = arrive
    for number in range(41):  # an idle device has no forward during which calls arrive
        if number >= len(bench.device.forwards):
            arrive(number)
            bench.jobs.run()
    for _, lengths, future in made:
        assert future.done()
        if not future.cancelled() and future.exception() is None:
            assert labels_of(future.result()) == [[length % 2] for length in lengths]
        elif not future.cancelled() and not {FAILS, RAISES} & set(lengths):
            assert str(future.exception()) == "closed"
    for lane in (True, False):
        answered = [call for call in ended if made[call][0] is lane]
        assert answered == sorted(answered)
    assert bench.batcher.busy_for_s() == 0
