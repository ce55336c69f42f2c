"""Joins the micro-batches of all workers on the device's thread.

Not `@serve.batch`: that one goes on forming batches while the device is busy, so that small micro-batches queue up as
small batches. Measured on 2 cores with 32 calls of 8 texts in flight: 2 calls per batch and 543 texts/s there,
16 and 733 here.

Needs no more than numpy, so that it can be measured on a machine with little else; spans are made by its owner.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, concatenate, split_scores
from labelstream.workers.errors import InferenceError
from labelstream.workers.histogram import Histogram

logger = logging.getLogger(__name__)
Answer = ScoredSequences | InferenceError
# Micro-batches that wait are joined up to so much: to fill every forward, and to sort by length across callers where
# there is padding. Texts/s on 2 cores by how many texts are run together: 128: 190, 512: 255, 1,024: 275, 2,048: 290.
# More would only make the first caller wait for the last one's texts.
JOINED_FORWARDS = 4
JOINED_TOKENS = 32_768
ALONE = 8  # batches of one call in a row, after which nobody is expected to come along
TOKENS = tuple(4.0**power for power in range(2, 11))  # 16 to a million

# As `labelstream.workers.engine.inference.predictor.Predictor.begin`.
Begin = Callable[[RaggedSequences, int], Callable[[], ScoredSequences]]


class Span(Protocol):
    """Begins with a batch, and is ended on the device's thread when its answers are there."""

    def end(self) -> None: ...


# As `labelstream.workers.tracing.forward`: the traces of the calls, and how many sequences and tokens are in them
# together.
MakeSpan = Callable[[list[str | None], int, int], Span]


class _NoSpan:
    def end(self) -> None:
        pass


def no_span(traces: list[str | None], sequences: int, tokens: int) -> Span:
    """Where nobody traces."""
    del traces, sequences, tokens
    return _NoSpan()


class Call(NamedTuple):
    """One worker's micro-batch. `arrived`: monotonic seconds. `around`: is entered on the device's thread.

    `trace`: of the caller, as of `labelstream.workers.tracing.here`.
    """

    packed: RaggedSequences
    top_k: int
    arrived: float
    future: "Future[ScoredSequences]"
    around: AbstractContextManager[None] = nullcontext()
    trace: str | None = None


class _Batch(NamedTuple):
    """What is on the device. `answers`: waits for it, and gives one answer or error per call; never raises."""

    calls: list[Call]
    sequences: int
    tokens: int
    started: float
    span: Span
    answers: Callable[[], list[Answer]]


def full_tokens_for(max_batch_tokens: int) -> int:
    """How many tokens are joined, for forwards of at most `max_batch_tokens`.

    A little less than so many forwards hold: whole sequences never fill each of them to the last token.
    """
    return max(JOINED_TOKENS, JOINED_FORWARDS * max_batch_tokens * 31 // 32)


class DynamicBatcher:
    """Begins batches on `device`, an executor with one thread, of all calls that wait while it is busy.

    Takes calls up to `full_tokens`, at least one, in the order of their arrival. A call waits at most `max_delay_s`
    for company, only while the device has nothing else to do, and only where company may be expected: not where the
    last `ALONE` batches had none. Under load calls come while the device is busy, and are together without any wait.
    Every future resolves.

    `overlaps`: whether the device computes while this thread goes on, as a GPU does. Under load the next batch is then
    begun before the answers of the one before it are waited for, so that the device has always something to do.

    `span`: is asked for one for each batch; an error of it, or of its end, is the batch's.
    """

    def __init__(
        self,
        device: Executor,
        begin: Begin,
        full_tokens: int,
        max_delay_s: float,
        overlaps: bool = False,
        span: MakeSpan = no_span,
    ) -> None:
        self._device, self._begin, self._overlaps, self._span = device, begin, overlaps, span
        self._full_tokens, self._max_delay_s = full_tokens, max_delay_s
        self._arrived = threading.Condition()
        self._waiting: deque[Call] = deque()
        self._waiting_tokens = 0
        self._closed: InferenceError | None = None
        self._alone = 0  # batches of one call in a row
        self._open: _Batch | None = None  # its answers have not been waited for
        self._busy_since: float | None = None
        self._ended = 0.0
        self._failed_in_row = 0
        self._counting = threading.Lock()  # guards what follows
        self._counts = {"calls": 0, "batches": 0, "sequences": 0, "tokens": 0, "failed_batches": 0}
        self._busy_s = 0.0
        self._histograms = {"queue_wait_s": Histogram(), "forward_s": Histogram(), "batch_tokens": Histogram(TOKENS)}

    def submit(self, packed: RaggedSequences, top_k: int, trace: str | None = None) -> "Future[ScoredSequences]":
        """The `top_k` best labels of each sequence (at least one); InferenceError when the model fails as a whole."""
        call = Call(packed, top_k, time.monotonic(), Future(), trace=trace)
        with self._arrived:
            if self._closed is not None:
                call.future.set_exception(self._closed)
                return call.future
            self._waiting.append(call)
            self._waiting_tokens += len(packed.ids)
            self._arrived.notify()
            # One run per call: each takes what is there, and finds nothing where an earlier one has taken it along.
            self._device.submit(self._run_waiting)
        return call.future

    def submit_apart(
        self, packed: RaggedSequences, top_k: int, around: AbstractContextManager[None], trace: str | None = None
    ) -> "Future[ScoredSequences]":
        """As `submit`, but never joined with other calls. The device's thread is within `around` meanwhile."""
        call = Call(packed, top_k, time.monotonic(), Future(), around, trace)
        self._device.submit(self._run_apart, call)
        return call.future

    def close(self, error: InferenceError) -> None:
        """Calls that wait, and later ones, resolve with `error`. To be called before `device` is shut down."""
        with self._arrived:
            if self._closed is not None:
                return
            self._closed = error
            dropped = list(self._waiting)
            self._waiting.clear()
            self._waiting_tokens = 0
            self._device.submit(self._end_open)  # no other run comes for it
        for call in dropped:
            _settle(call, error)

    def busy_for_s(self) -> float:
        """How long the batch on the device is running; 0 when there is none."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def failed_in_row(self) -> int:
        """How many of the last batches have failed for all of their callers."""
        return self._failed_in_row

    def counts(self) -> dict[str, Any]:
        """Plain numbers since the start; `histograms`, as `labelstream.workers.histogram.Buckets`, of calls that
        waited, batches that ran (all forwards of a batch together) and how many tokens were in them.
        """
        with self._counting:
            return {
                **self._counts,
                "busy_s": round(self._busy_s, 6),
                "histograms": {name: histogram.buckets() for name, histogram in self._histograms.items()},
            }

    def _run_waiting(self) -> None:
        calls = [call for call in self._take() if call.future.set_running_or_notify_cancel()]
        batch = self._batch(calls, self._begun) if calls else None
        self._end_open()
        if batch is None:
            return
        self._busy_since = max(batch.started, self._ended)
        if self._overlaps and self._waiting:  # there is a run to come for what waits: it ends this one
            self._open = batch
        else:
            self._end(batch)

    def _run_apart(self, call: Call) -> None:
        self._end_open()
        if call.future.set_running_or_notify_cancel() and (batch := self._batch([call], self._within)):
            self._end(batch)

    def _batch(self, calls: list[Call], begin: Callable[[list[Call]], Callable[[], list[Answer]]]) -> _Batch | None:
        """None when that is not even begun; the calls know then."""
        started = time.monotonic()
        if self._busy_since is None:
            self._busy_since = started
        sequences = sum(len(call.packed.lengths) for call in calls)
        tokens = sum(len(call.packed.ids) for call in calls)
        try:
            span = self._span([call.trace for call in calls], sequences, tokens)
            return _Batch(calls, sequences, tokens, started, span, begin(calls))
        except BaseException as error:
            self._busy_since = None
            _resolve(calls, error)
            return None

    def _end_open(self) -> None:
        batch, self._open = self._open, None
        if batch is not None:
            self._end(batch)

    def _end(self, batch: _Batch) -> None:
        try:
            answers = batch.answers()
            batch.span.end()
        except BaseException as error:
            self._busy_since = None
            _resolve(batch.calls, error)
            return
        started, self._ended, self._busy_since = max(batch.started, self._ended), time.monotonic(), None
        failed = all(isinstance(answer, Exception) for answer in answers)
        self._failed_in_row = self._failed_in_row + 1 if failed else 0
        self._count(batch, started, failed)
        for call, answer in zip(batch.calls, answers, strict=True):
            _settle(call, answer)

    def _take(self) -> list[Call]:
        with self._arrived:
            if not self._waiting:
                return []
            patient = self._open is None and self._alone < ALONE
            deadline = self._waiting[0].arrived + (self._max_delay_s if patient else 0.0)
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

    def _begun(self, calls: list[Call]) -> Callable[[], list[Answer]]:
        """Begin `calls` together. When that fails, each of them is tried alone."""
        top_ks = [call.top_k for call in calls]
        try:
            scored = self._begin(concatenate([call.packed for call in calls]), max(top_ks))
        except Exception as error:
            failure = _plain(error)
            return lambda: self._failed(calls, failure)

        def answers() -> list[Answer]:
            try:
                return list(split_scores(scored(), [len(call.packed.lengths) for call in calls], top_ks))
            except Exception as error:
                failure = _plain(error)
            return self._failed(calls, failure)

        return answers

    def _within(self, calls: list[Call]) -> Callable[[], list[Answer]]:
        """Run a single call to its end, inside of what is to be around it."""
        try:
            with calls[0].around:
                found = self._begun(calls)()
        except Exception as error:
            found = self._failed(calls, _plain(error))
        return lambda: found

    def _failed(self, calls: list[Call], failure: InferenceError) -> list[Answer]:
        logger.warning("a batch of %d calls failed: %s", len(calls), failure)
        return [failure] if len(calls) == 1 else [answer for call in calls for answer in self._begun([call])()]

    def _count(self, batch: _Batch, started: float, failed: bool) -> None:
        """`started`: behind the batch before it, even where it was begun earlier."""
        taken_s = self._ended - started
        with self._counting:
            counts, histograms = self._counts, self._histograms
            counts["calls"] += len(batch.calls)
            counts["batches"] += 1
            counts["sequences"] += batch.sequences
            counts["tokens"] += batch.tokens
            counts["failed_batches"] += failed
            self._busy_s += taken_s
            histograms["queue_wait_s"].observe([started - call.arrived for call in batch.calls])
            histograms["forward_s"].observe(taken_s)
            histograms["batch_tokens"].observe(batch.tokens)


def _resolve(calls: list[Call], error: BaseException) -> None:
    """Whatever it is: nobody may wait for ever, and the thread goes on."""
    logger.error("a bug beside a batch of %d calls: %r", len(calls), error)
    for call in calls:
        _settle(call, _plain(error))


def _settle(call: Call, answer: Answer) -> None:
    """What a callback of one caller raises is nobody else's."""
    try:
        if isinstance(answer, Exception):
            call.future.set_exception(answer)
        else:
            call.future.set_result(answer)
    except BaseException:
        logger.exception("a callback of a call failed")


def _plain(error: BaseException) -> InferenceError:
    """A copy: the original may hold the batch's memory, and classes that the caller cannot load."""
    return InferenceError(str(error) if isinstance(error, InferenceError) else f"a bug: {error!r}"[:300])
