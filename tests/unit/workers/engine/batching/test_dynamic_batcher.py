"""Calls are joined while the device is busy, retried alone after a failure, and never mixed up."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from labelstream.workers.engine.batching.dynamic_batcher import ALONE, DynamicBatcher
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError
from tests.support.fake_handle import by_length
from tests.support.forward_device import labels_of, packed


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


# Packages that a machine that measures the engine may lack.
ABSENT = ("opentelemetry", "pydantic", "ray", "kafka", "confluent_kafka")
ALONE_WITH_NUMPY = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT!r}))  # an import of any fails
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher
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
