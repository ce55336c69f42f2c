"""Calls are joined while the device is busy, retried alone after a failure, and never mixed up."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.dynamic_batcher import ALONE, DynamicBatcher, Span, no_span
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError
from tests.support.clock import Clock
from tests.support.fake_handle import by_length
from tests.support.forward_device import FAILS, RAISES, SECONDS_PER_TOKEN, ForwardDevice, Jobs, packed


class Device:
    """Answers by length. Runs only while `free` is set; fails on batches that hold a sequence of 13 tokens."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.started = threading.Event()
        self.batches: list[list[int]] = []

    def begin(self, packed: RaggedSequences, top_k: int, after_forward: object) -> Callable[[], ScoredSequences]:
        scored = self._predict(packed, top_k)
        return lambda: scored

    def _predict(self, packed: RaggedSequences, top_k: int) -> ScoredSequences:
        self.batches.append(packed.lengths.tolist())
        self.started.set()
        assert self.free.wait(10)
        if 13 in packed.lengths:
            raise InferenceError("unlucky")
        if 14 in packed.lengths:
            raise KeyError("a bug")
        return by_length(packed, top_k, "")


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def labels_of(answer: ScoredSequences) -> list[list[int]]:
    assert answer.label_ids is not None
    return answer.label_ids.tolist()


def busy_batcher(
    thread: ThreadPoolExecutor, full_tokens: int = 100, max_delay_s: float = 0.0
) -> tuple[DynamicBatcher, Device]:
    """A batcher whose device runs a first call until `free` is set."""
    device = Device()
    batcher = DynamicBatcher(thread, device.begin, full_tokens, max_delay_s)
    batcher.submit(packed(1), 1)
    assert device.started.wait(5)
    return batcher, device


def test_waiting_calls_are_joined_into_one_batch(thread: ThreadPoolExecutor) -> None:
    batcher, device = busy_batcher(thread)
    futures = [batcher.submit(packed(2, 3), 1), batcher.submit(packed(4), 2), batcher.submit(packed(5, 6, 7), 1)]
    device.free.set()
    answers = [future.result(5) for future in futures]
    assert device.batches == [[1], [2, 3, 4, 5, 6, 7]]
    assert [labels_of(answer) for answer in answers] == [[[0], [1]], [[0, 1]], [[1], [0], [1]]]
    assert batcher.counts()["calls"] == 4
    assert batcher.counts()["batches"] == 2


def test_full_batch_takes_no_more_calls(thread: ThreadPoolExecutor) -> None:
    batcher, device = busy_batcher(thread, full_tokens=10)
    futures = [batcher.submit(packed(n), 1) for n in (4, 6, 5, 50, 1)]
    device.free.set()
    for future in futures:
        future.result(5)
    assert device.batches == [[1], [4, 6], [5], [50], [1]]


def test_submit_apart_joins_no_other_call(thread: ThreadPoolExecutor) -> None:
    batcher, device = busy_batcher(thread)
    seen: list[list[list[int]]] = []

    @contextmanager
    def around() -> Iterator[None]:
        seen.append(device.batches[:])
        yield
        seen.append(device.batches[:])

    apart = batcher.submit_apart(packed(3, 4), 1, around())
    futures = [batcher.submit(packed(2), 1), apart, batcher.submit(packed(5), 1)]
    device.free.set()
    assert [len(labels_of(future.result(5))) for future in futures] == [1, 2, 1]
    assert device.batches == [[1], [3, 4], [2, 5]]
    assert seen == [[[1]], [[1], [3, 4]]]


def test_failing_context_fails_its_own_call(thread: ThreadPoolExecutor) -> None:
    batcher, device = busy_batcher(thread)

    @contextmanager
    def around() -> Iterator[None]:
        raise InferenceError("fails on any text")
        yield

    future = batcher.submit_apart(packed(3), 1, around())
    device.free.set()
    assert str(future.exception(5)) == "fails on any text"
    assert device.batches == [[1]]


def test_idle_device_waits_max_delay_for_calls(thread: ThreadPoolExecutor) -> None:
    device = Device()
    device.free.set()
    batcher = DynamicBatcher(thread, device.begin, 100, 0.3)
    first = batcher.submit(packed(2), 1)
    time.sleep(0.05)
    second = batcher.submit(packed(3), 1)
    first.result(5)
    second.result(5)
    assert device.batches == [[2, 3]]
    started = time.monotonic()
    batcher.submit(packed(100), 1).result(5)
    assert time.monotonic() - started < 0.25  # a full batch does not wait


def test_batcher_skips_delay_after_unbatched_calls(thread: ThreadPoolExecutor) -> None:
    device = Device()
    device.free.set()
    batcher = DynamicBatcher(thread, device.begin, 100, max_delay_s=3_600)
    for _ in range(ALONE):
        batcher.submit(packed(100), 1).result(5)  # a full batch does not wait
    batcher.submit(packed(1), 1).result(5)
    device.free.clear()
    device.started.clear()
    futures = [batcher.submit(packed(2), 1)]
    assert device.started.wait(5)
    futures += [batcher.submit(packed(length), 1) for length in (3, 4)]  # while the device is busy
    device.free.set()
    for future in futures:
        future.result(5)
    waiting = batcher.submit(packed(5), 1)  # would wait an hour, but the next call fills the batch
    batcher.submit(packed(95), 1).result(5)
    waiting.result(5)
    assert device.batches == [*[[100]] * ALONE, [1], [2], [3, 4], [5, 95]]


def test_failed_batch_is_retried_call_by_call(thread: ThreadPoolExecutor) -> None:
    batcher, device = busy_batcher(thread)
    good, bad, buggy = (batcher.submit(packed(n, 2), 1) for n in (3, 13, 14))
    device.free.set()
    assert labels_of(good.result(5)) == [[1], [0]]
    assert str(bad.exception(5)) == "unlucky"
    assert type(buggy.exception(5)) is InferenceError
    assert batcher.failed_in_row == 0


def test_failures_in_a_row_are_counted(thread: ThreadPoolExecutor) -> None:
    batcher, device = busy_batcher(thread)
    device.free.set()
    for expected in (1, 2, 3):
        assert isinstance(batcher.submit(packed(13), 1).exception(5), InferenceError)
        assert batcher.failed_in_row == expected
    batcher.submit(packed(2), 1).result(5)
    assert batcher.failed_in_row == 0


def test_busy_for_s_shows_a_stuck_device(thread: ThreadPoolExecutor) -> None:
    batcher, device = busy_batcher(thread)
    time.sleep(0.05)
    assert batcher.busy_for_s() >= 0.05
    device.free.set()
    batcher.submit(packed(2), 1).result(5)
    assert batcher.busy_for_s() == 0


def test_cancelled_call_is_left_out(thread: ThreadPoolExecutor) -> None:
    batcher, device = busy_batcher(thread)
    given_up, kept = batcher.submit(packed(5), 1), batcher.submit(packed(6), 1)
    assert given_up.cancel()
    device.free.set()
    kept.result(5)
    assert device.batches == [[1], [6]]


class Overlapping:
    """Begins at once; each release of `done` gives the answers of one batch."""

    def __init__(self) -> None:
        self.done = threading.Semaphore(0)
        self.steps: list[tuple[str, list[int]]] = []

    def begin(self, packed: RaggedSequences, top_k: int, after_forward: object) -> Callable[[], ScoredSequences]:
        lengths = packed.lengths.tolist()
        self.steps.append(("begin", lengths))
        if 14 in lengths:
            raise KeyError("a bug")

        def answers() -> ScoredSequences:
            self.steps.append(("wait", lengths))
            assert self.done.acquire(timeout=10)
            if 13 in lengths:
                raise InferenceError("unlucky")
            return by_length(packed, top_k, "")

        return answers


def overlapping(
    thread: ThreadPoolExecutor, full_tokens: int = 10, **options: Any
) -> tuple[DynamicBatcher, Overlapping, threading.Event]:
    """A batcher whose thread is blocked until the event is set."""
    device, start = Overlapping(), threading.Event()
    thread.submit(start.wait, 10)
    return DynamicBatcher(thread, device.begin, full_tokens, 3_600.0, overlaps=True, **options), device, start


def test_next_batch_begins_before_previous_is_awaited(thread: ThreadPoolExecutor) -> None:
    batcher, device, start = overlapping(thread)
    futures = [batcher.submit(packed(length), 1) for length in (10, 9, 8)]
    device.done.release(3)
    start.set()
    assert [labels_of(future.result(5)) for future in futures] == [[[0]], [[1]], [[0]]]
    assert device.steps == [
        ("begin", [10]),
        ("begin", [9]),
        ("wait", [10]),
        ("begin", [8]),
        ("wait", [9]),
        ("wait", [8]),
    ]


def test_open_batch_ends_without_a_later_call(thread: ThreadPoolExecutor) -> None:
    batcher, device, start = overlapping(thread)
    first, second = batcher.submit(packed(10), 1), batcher.submit(packed(9), 1)
    assert second.cancel()
    device.done.release()
    start.set()
    assert labels_of(first.result(5)) == [[0]]
    assert device.steps == [("begin", [10]), ("wait", [10])]


def test_batcher_does_not_delay_while_device_is_busy(thread: ThreadPoolExecutor) -> None:
    batcher, device, start = overlapping(thread)
    futures = [batcher.submit(packed(length), 1) for length in (10, 2)]  # the second call would wait an hour
    device.done.release(2)
    start.set()
    assert [labels_of(future.result(5)) for future in futures] == [[[0]], [[0]]]


def test_apart_call_waits_until_the_device_is_idle(thread: ThreadPoolExecutor) -> None:
    batcher, device, start = overlapping(thread)
    first = batcher.submit(packed(10), 1)
    apart = batcher.submit_apart(packed(3), 1, nullcontext())
    last = batcher.submit(packed(11), 1)
    device.done.release(3)
    start.set()
    for future in (first, apart, last):
        future.result(5)
    assert device.steps == [(step, [length]) for length in (10, 3, 11) for step in ("begin", "wait")]


@pytest.mark.parametrize("unlucky", [13, 14])
def test_failed_batch_does_not_fail_the_next(thread: ThreadPoolExecutor, unlucky: int) -> None:
    batcher, device, start = overlapping(thread, full_tokens=20)
    bad, good, after = (batcher.submit(packed(length), 1) for length in (unlucky, 4, 18))
    device.done.release(9)
    start.set()
    assert isinstance(bad.exception(5), InferenceError)
    assert labels_of(good.result(5)) == [[0]]
    assert labels_of(after.result(5)) == [[0]]
    again = [step for step in device.steps if step[1] in ([unlucky], [4])]
    assert [length for step, (length,) in again if step == "begin"] == [unlucky, 4]  # the batch, then each call alone
    assert batcher.counts()["failed_batches"] == 0  # counts only batches of which all calls failed


class SecondFails:
    """Spans of which the second raises at its start, or at its end."""

    def __init__(self, where: str) -> None:
        self._where, self._made = where, 0

    def __call__(self, traces: list[str | None], sequences: int, tokens: int) -> Span:
        self._made += 1
        if self._made == 2 and self._where == "begin":
            raise RuntimeError("no tracing")
        return self if self._made == 2 else no_span(traces, sequences, tokens)

    def end(self) -> None:
        raise RuntimeError("no tracing")


@pytest.mark.parametrize("where", ["begin", "end"])
def test_error_outside_the_model_resolves_all_calls(thread: ThreadPoolExecutor, where: str) -> None:
    batcher, device, start = overlapping(thread, span=SecondFails(where))
    first, second = batcher.submit(packed(10), 1), batcher.submit(packed(11), 1)
    device.done.release(2)
    start.set()
    assert labels_of(first.result(5)) == [[0]]
    assert str(second.exception(5)) == "BUG: RuntimeError('no tracing')"
    assert batcher.busy_for_s() == 0


def test_overlapping_batches_count_device_time_once(thread: ThreadPoolExecutor) -> None:
    batcher, device, start = overlapping(thread)
    futures = [batcher.submit(packed(length), 1) for length in (10, 9, 8)]
    began = time.monotonic()
    start.set()
    while ("wait", [10]) not in device.steps:
        time.sleep(0.001)
    for _ in futures:
        time.sleep(0.05)
        assert batcher.busy_for_s() > 0
        device.done.release()
    for future in futures:
        future.result(5)
    assert 0.1 < batcher.counts()["busy_s"] <= time.monotonic() - began
    assert batcher.busy_for_s() == 0


def test_batch_span_ends_with_its_answers(thread: ThreadPoolExecutor) -> None:
    made: list[object] = []

    class Kept:
        def end(self) -> None:
            made.append(device.steps[-1])

    def span(traces: list[str | None], sequences: int, tokens: int) -> Span:
        made.append((traces, sequences, tokens))
        return Kept()

    batcher, device, start = overlapping(thread, full_tokens=15, span=span)
    futures = [batcher.submit(packed(4, 5), 1, "one"), batcher.submit(packed(6), 1)]
    device.done.release()
    start.set()
    for future in futures:
        future.result(5)
    assert made == [(["one", None], 3, 15), ("wait", [4, 5, 6])]


# Packages that a machine that measures the engine may lack.
ABSENT = ("opentelemetry", "pydantic", "ray", "kafka", "confluent_kafka")
ALONE_WITH_NUMPY = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT!r}))  # an import of any fails
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from labelstream.workers.engine.dynamic_batcher import DynamicBatcher
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
scored = ScoredSequences(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32), {{}})
with ThreadPoolExecutor(1) as device:
    batcher = DynamicBatcher(device, lambda packed, top_k, _: lambda: scored, 100, 0.0)
    answer = batcher.submit(RaggedSequences(np.zeros(3, np.int32), np.array([3], np.int32)), 1).result(10)
assert answer.scores.tolist() == [[1.0]]
print(sorted(name for name in {ABSENT!r} if sys.modules[name] is not None))
"""


def test_dynamic_batcher_imports_numpy_only() -> None:
    command = [sys.executable, "-W", "error", "-c", ALONE_WITH_NUMPY]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_close_ends_open_batch_and_resolves_waiting_calls(thread: ThreadPoolExecutor) -> None:
    begun, taken, free = threading.Event(), threading.Event(), threading.Event()

    def begin(sequences: RaggedSequences, top_k: int, after_forward: object) -> Callable[[], ScoredSequences]:
        begun.set()
        assert taken.wait(10)
        scored = by_length(sequences, top_k, "")

        def answers() -> ScoredSequences:
            assert free.wait(10)
            return scored

        return answers

    batcher = DynamicBatcher(thread, begin, 2, 0.0, overlaps=True)
    first = batcher.submit(packed(2), 1)
    assert begun.wait(10)
    second = batcher.submit(packed(2), 1)  # the first batch stays open until this call
    closing = threading.Thread(target=batcher.close, args=(InferenceError("closed"),))
    closing.start()
    closing.join(10)
    taken.set()
    free.set()
    assert labels_of(first.result(10)) == [[0]]
    for future in (second, batcher.submit(packed(2), 1)):
        with pytest.raises(InferenceError, match="closed"):
            future.result(10)
    batcher.close(InferenceError("again"))


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
