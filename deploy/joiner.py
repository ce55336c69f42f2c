"""Joins the micro-batches of all workers on the device's thread.

Not `@serve.batch`: that one goes on forming batches while the device is busy, so that small micro-batches queue up as
small batches. Measured on 2 cores with 32 calls of 8 texts in flight: 2 calls per batch and 543 texts/s there,
16 and 733 here.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from workers import tracing
from workers.engine.packed import PackedSequences, ScoredSequences, concatenate, split_scores
from workers.errors import InferenceError
from workers.histogram import Histogram

log = logging.getLogger(__name__)
ALONE = 8  # batches of one call in a row, after which nobody is expected to come along
TOKENS = tuple(4.0**power for power in range(2, 11))  # 16 to a million

Predict = Callable[[PackedSequences, int], ScoredSequences]


class Call(NamedTuple):
    """One worker's micro-batch. `arrived`: monotonic seconds. `around`: is entered on the device's thread.

    `trace`: of the caller, as of `workers.tracing.here`.
    """

    packed: PackedSequences
    top_k: int
    arrived: float
    future: "Future[ScoredSequences]"
    around: AbstractContextManager[None] = nullcontext()
    trace: str | None = None


class Joiner:
    """Runs `predict` on `device`, an executor with one thread, over all calls that wait while it is busy.

    Takes calls up to `full_tokens`, at least one, in the order of their arrival. A call waits at most `max_delay_s`
    for company, only while the device has nothing else to do, and only where company may be expected: not where the
    last `ALONE` batches had none. Under load calls come while the device is busy, and are together without any wait.
    Every future resolves.
    """

    def __init__(self, device: Executor, predict: Predict, full_tokens: int, max_delay_s: float) -> None:
        self._device, self._predict = device, predict
        self._full_tokens, self._max_delay_s = full_tokens, max_delay_s
        self._arrived = threading.Condition()
        self._waiting: deque[Call] = deque()
        self._waiting_tokens = 0
        self._alone = 0  # batches of one call in a row
        self._busy_since: float | None = None
        self._failed_in_row = 0
        self._counting = threading.Lock()  # guards what follows
        self._counts = {"calls": 0, "batches": 0, "sequences": 0, "tokens": 0, "failed_batches": 0}
        self._busy_s = 0.0
        self._histograms = {"queue_wait_s": Histogram(), "forward_s": Histogram(), "batch_tokens": Histogram(TOKENS)}

    def submit(self, packed: PackedSequences, top_k: int, trace: str | None = None) -> "Future[ScoredSequences]":
        """The `top_k` best labels of each sequence (at least one); InferenceError when the model fails as a whole."""
        call = Call(packed, top_k, time.monotonic(), Future(), trace=trace)
        with self._arrived:
            self._waiting.append(call)
            self._waiting_tokens += len(packed.ids)
            self._arrived.notify()
        # One run per call: each takes what is there, and finds nothing where an earlier one has taken it along.
        self._device.submit(self._run)
        return call.future

    def submit_apart(
        self, packed: PackedSequences, top_k: int, around: AbstractContextManager[None], trace: str | None = None
    ) -> "Future[ScoredSequences]":
        """As `submit`, but never joined with other calls. The device's thread is within `around` meanwhile."""
        call = Call(packed, top_k, time.monotonic(), Future(), around, trace)
        self._device.submit(self._run, [call])
        return call.future

    def busy_for_s(self) -> float:
        """How long the batch on the device is running; 0 when there is none."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def failed_in_row(self) -> int:
        """How many of the last batches have failed for all of their callers."""
        return self._failed_in_row

    def counts(self) -> dict[str, Any]:
        """Plain numbers since the start; `histograms`, as `workers.histogram.Buckets`, of calls that waited, batches
        that ran (all forwards of a batch together) and how many tokens were in them.
        """
        with self._counting:
            return {**self._counts, "busy_s": round(self._busy_s, 6),
                    "histograms": {name: histogram.buckets() for name, histogram in self._histograms.items()}}

    def _run(self, apart: list[Call] | None = None) -> None:
        calls = [call for call in apart or self._take() if call.future.set_running_or_notify_cancel()]
        if not calls:
            return
        started = self._busy_since = time.monotonic()
        sequences = sum(len(call.packed.lengths) for call in calls)
        tokens = sum(len(call.packed.ids) for call in calls)
        with tracing.forward([call.trace for call in calls], sequences, tokens):
            answers = self._together(calls)
        self._busy_since = None
        failed = all(isinstance(answer, Exception) for answer in answers)
        self._failed_in_row = self._failed_in_row + 1 if failed else 0
        self._count(calls, sequences, tokens, started, failed)
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, Exception):
                call.future.set_exception(answer)
            else:
                call.future.set_result(answer)

    def _take(self) -> list[Call]:
        with self._arrived:
            if not self._waiting:
                return []
            deadline = self._waiting[0].arrived + (self._max_delay_s if self._alone < ALONE else 0.0)
            while self._waiting_tokens < self._full_tokens and (left_s := deadline - time.monotonic()) > 0:
                self._arrived.wait(left_s)
            calls: list[Call] = []
            tokens = 0
            while self._waiting and (not calls or tokens + len(self._waiting[0].packed.ids) <= self._full_tokens):
                calls.append(self._waiting.popleft())
                tokens += len(calls[-1].packed.ids)
            self._waiting_tokens -= tokens
            self._alone = 0 if len(calls) > 1 or self._waiting else self._alone + 1
            return calls

    def _together(self, calls: list[Call]) -> list[ScoredSequences | InferenceError]:
        """One answer or error per call; never raises. When the joined batch fails, each call is tried alone."""
        try:
            top_ks = [call.top_k for call in calls]
            with calls[0].around:
                scored = self._predict(concatenate([call.packed for call in calls]), max(top_ks))
            return list(split_scores(scored, [len(call.packed.lengths) for call in calls], top_ks))
        except Exception as error:
            log.warning("a batch of %d calls failed: %s: %s", len(calls), type(error).__name__, error)
            if len(calls) == 1:
                # A plain copy: the original may hold the batch's memory, and classes that the caller cannot load.
                return [InferenceError(str(error) if isinstance(error, InferenceError) else f"a bug: {error!r}"[:300])]
        return [answer for call in calls for answer in self._together([call])]

    def _count(self, calls: list[Call], sequences: int, tokens: int, started: float, failed: bool) -> None:
        taken_s = time.monotonic() - started
        with self._counting:
            counts, histograms = self._counts, self._histograms
            counts["calls"] += len(calls)
            counts["batches"] += 1
            counts["sequences"] += sequences
            counts["tokens"] += tokens
            counts["failed_batches"] += failed
            self._busy_s += taken_s
            histograms["queue_wait_s"].observe([started - call.arrived for call in calls])
            histograms["forward_s"].observe(taken_s)
            histograms["batch_tokens"].observe(tokens)
