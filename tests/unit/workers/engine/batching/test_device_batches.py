"""Batches overlap on a device that computes meanwhile; their time counts once, and an error resolves all calls."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from labelstream.workers.engine.batching.batch import Span
from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError
from tests.support.fake_handle import by_length
from tests.support.forward_device import labels_of, packed


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


class Quiet:
    """A span that does nothing."""

    def end(self) -> None:
        pass


class SecondFails:
    """Spans of which the second raises at its start, or at its end."""

    def __init__(self, where: str) -> None:
        self._where, self._made = where, 0

    def __call__(self, traces: list[str | None], sequences: int, tokens: int) -> Span:
        self._made += 1
        if self._made == 2 and self._where == "begin":
            raise RuntimeError("no tracing")
        return self if self._made == 2 else Quiet()

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
