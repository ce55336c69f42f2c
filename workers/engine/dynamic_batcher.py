"""Joins the calls of all workers into batches, on the device's thread.

docs/adr/0004-no-serve-batch.md compares this batcher with `@serve.batch`.

Needs numpy only, so that it can be measured on a bare machine. The owner passes a function that makes spans.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from labelstream.workers.engine.lanes import Call, Lanes
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, concatenate, split_scores
from labelstream.workers.errors import InferenceError
from labelstream.workers.histogram import Histogram

logger = logging.getLogger(__name__)
Answer = ScoredSequences | InferenceError
# Waiting calls are joined up to these bounds: to fill every forward, and to sort more texts by length against padding.
# Texts/s on 2 cores by texts per batch: 128: 190, 512: 255, 1,024: 275, 2,048: 290. A larger batch would only delay
# its first caller.
JOINED_FORWARDS = 4
JOINED_TOKENS = 32_768
ALONE = 8  # after so many batches of one call in a row the batcher stops waiting for further calls
TOKENS = tuple(4.0**power for power in range(2, 11))  # 16 to a million

# While interactive calls are in use, an overlapping device holds one forward beside the running one, or none if
# forwards take longer than this: an interactive call waits for what the device holds.
QUEUED_S = 0.010

Wait = Callable[[], None]
# Called on the device's thread after each forward of a batch, with its tokens and a function as `Backend.mark`.
AfterForward = Callable[[int, Callable[[], Wait]], None]
# The signature of `labelstream.workers.engine.inference.predictor.Predictor.begin`.
Begin = Callable[[RaggedSequences, int, AfterForward], Callable[[], ScoredSequences]]


class Span(Protocol):
    """Starts with a batch. The device's thread ends it when the batch's answers are there."""

    def end(self) -> None: ...


# As `labelstream.workers.tracing.forward`: (traces of the calls, sequences of all calls, tokens of all calls).
MakeSpan = Callable[[list[str | None], int, int], Span]


class _NoSpan:
    def end(self) -> None:
        pass


def no_span(traces: list[str | None], sequences: int, tokens: int) -> Span:
    """A `MakeSpan` that traces nothing."""
    del traces, sequences, tokens
    return _NoSpan()


@dataclass
class _Batch:
    """A batch on the device. `answers`: waits for the device and returns one answer or error per call; never raises.

    `interrupted_s`: seconds that interactive calls ran between its forwards.
    """

    calls: list[Call]
    started: float
    sequences: int = field(init=False)
    tokens: int = field(init=False)
    span: Span = field(init=False)
    answers: Callable[[], list[Answer]] = field(init=False)
    interrupted_s: float = 0.0

    def __post_init__(self) -> None:
        self.sequences = sum(len(call.packed.lengths) for call in self.calls)
        self.tokens = sum(len(call.packed.ids) for call in self.calls)


def full_tokens_for(max_batch_tokens: int) -> int:
    """Tokens that are joined into one batch, for forwards of at most `max_batch_tokens`.

    1/32 less than the forwards hold, because whole sequences rarely fill a forward to the last token.
    """
    return max(JOINED_TOKENS, JOINED_FORWARDS * max_batch_tokens * 31 // 32)


class DynamicBatcher:
    """Runs batches on `device`, an executor with one thread. A batch holds the calls that arrived meanwhile.

    A batch takes calls in the order of arrival, at least one, up to `full_tokens` tokens. An idle device waits up to
    `max_delay_s` after a call's arrival for further calls, unless each of the last `ALONE` batches had one call only.
    Under load calls arrive while the device is busy, so no call waits for others. Every future resolves.

    Interactive calls also run between two forwards of a batch of other calls; see `Lanes` for their share.

    `overlaps`: the device computes while its thread continues, as a GPU does. Under load the thread then begins the
    next batch before it waits for the previous answers, so the device never idles. While interactive calls are in use,
    the thread begins a forward when at most one other is on the device.

    `span`: makes one span per batch. If making or ending a span raises, the batch fails.
    """

    def __init__(
        self,
        device: Executor,
        begin: Begin,
        full_tokens: int,
        max_delay_s: float,
        overlaps: bool = False,
        span: MakeSpan = no_span,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device, self._begin, self._overlaps, self._span, self._clock = device, begin, overlaps, span, clock
        self._full_tokens, self._max_delay_s = full_tokens, max_delay_s
        self._arrived = threading.Condition()
        self._waiting = Lanes()
        self._closed: InferenceError | None = None
        self._alone = 0  # batches of one call in a row
        self._open: _Batch | None = None  # begun; nobody waits for its answers yet
        self._last_forward: tuple[float, Wait] | None = None  # when it began, and a function that waits for it
        self._busy_since: float | None = None
        self._ended = 0.0
        self._failed_in_row = 0
        self._counting = threading.Lock()  # guards the fields below
        self._counts = {"calls": 0, "batches": 0, "sequences": 0, "tokens": 0, "failed_batches": 0}
        self._busy_s = 0.0
        self._histograms = {"queue_wait_s": Histogram(), "forward_s": Histogram(), "batch_tokens": Histogram(TOKENS)}

    def submit(
        self, packed: RaggedSequences, top_k: int, trace: str | None = None, interactive: bool = False
    ) -> "Future[ScoredSequences]":
        """Queue a call. Resolves with the `top_k` best labels of each sequence; InferenceError if the whole call fails.

        `packed`: at least one sequence. `trace`: the caller's `tracing.here()`. `interactive`: see `Call`. A call that
        is cancelled before its forward costs nothing.
        """
        call = Call(packed, top_k, self._clock(), Future(), interactive, trace=trace)
        with self._arrived:
            if self._closed is not None:
                call.future.set_exception(self._closed)
                return call.future
            self._waiting.add(call)
            self._arrived.notify()
            # One job per call. A job takes all waiting calls; the jobs of the calls that it took find none.
            self._device.submit(self._run_waiting)
        return call.future

    def submit_apart(
        self, packed: RaggedSequences, top_k: int, around: AbstractContextManager[None], trace: str | None = None
    ) -> "Future[ScoredSequences]":
        """As `submit`, but in a batch of its own, which the device's thread runs inside `around`."""
        call = Call(packed, top_k, self._clock(), Future(), around=around, trace=trace)
        self._device.submit(self._run_apart, call)
        return call.future

    def close(self, error: InferenceError) -> None:
        """Resolve waiting and later calls with `error`. Call it before shutting `device` down."""
        with self._arrived:
            if self._closed is not None:
                return
            self._closed = error
            dropped = self._waiting.clear()
            self._device.submit(self._end_open)  # no later job would end the open batch
        for call in dropped:
            _settle(call, error)

    def busy_for_s(self) -> float:
        """Seconds that the current batch has been on the device; 0 without one."""
        started = self._busy_since
        return 0.0 if started is None else self._clock() - started

    @property
    def failed_in_row(self) -> int:
        """Number of consecutive batches, up to the last one, that failed for all of their calls."""
        return self._failed_in_row

    def counts(self) -> dict[str, Any]:
        """Totals since the start, and `histograms` (see `labelstream.workers.histogram.Buckets`): seconds that calls
        waited, seconds that batches ran, tokens per batch.
        """
        with self._counting:
            return {
                **self._counts,
                "busy_s": round(self._busy_s, 6),
                "histograms": {name: histogram.buckets() for name, histogram in self._histograms.items()},
            }

    def _run_waiting(self) -> None:
        calls = self._take()
        batch = self._batch(calls, self._begun) if calls else None
        self._end_open()
        if batch is None:
            return
        self._busy_since = max(batch.started, self._ended)
        if self._overlaps and self._waiting:  # the job of a waiting call ends this batch
            self._open = batch
        else:
            self._end(batch)

    def _run_apart(self, call: Call) -> None:
        self._end_open()
        if call.future.set_running_or_notify_cancel() and (batch := self._batch([call], self._within)):
            self._end(batch)

    def _batch(self, calls: list[Call], begin: Callable[[_Batch], Callable[[], list[Answer]]]) -> _Batch | None:
        """Begin a batch. None if that failed; the calls are then resolved with the error."""
        batch = _Batch(calls, self._clock())
        if self._busy_since is None:
            self._busy_since = batch.started
        try:
            batch.span = self._span([call.trace for call in calls], batch.sequences, batch.tokens)
            batch.answers = begin(batch)
        except BaseException as error:
            self._busy_since = None
            _resolve(calls, error)
            return None
        return batch

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
        started, self._ended, self._busy_since = max(batch.started, self._ended), self._clock(), None
        failed = all(isinstance(answer, Exception) for answer in answers)
        self._failed_in_row = self._failed_in_row + 1 if failed else 0
        self._count(batch, started, failed)
        for call, answer in zip(batch.calls, answers, strict=True):
            _settle(call, answer)

    def _take(self) -> list[Call]:
        with self._arrived:
            if not self._waiting:
                return []
            may_wait = self._open is None and self._alone < ALONE
            deadline = self._waiting.oldest + (self._max_delay_s if may_wait else 0.0)
            while self._waiting.tokens < self._full_tokens and (left_s := deadline - self._clock()) > 0:
                self._arrived.wait(left_s)
            calls = self._waiting.take(self._full_tokens)
            self._alone = 0 if len(calls) > 1 or self._waiting else self._alone + 1
            return calls

    def _after_forward(self, batch: _Batch, tokens: int, mark: Callable[[], Wait]) -> None:
        """Run waiting interactive calls between two forwards of `batch`. Never raises."""
        if not self._waiting.in_use(self._clock()):
            self._last_forward = None
            return
        self._wait_for_device(mark)
        self._end_open()  # has ended on the device
        with self._arrived:
            calls = self._waiting.take_after_forward(tokens)
        started, ended = self._clock(), self._ended
        if calls and (interrupting := self._batch(calls, self._begun)) is not None:
            self._end(interrupting)
            self._ended = ended
        batch.interrupted_s += self._clock() - started
        if self._busy_since is None:
            self._busy_since = max(batch.started, ended)

    def _wait_for_device(self, mark: Callable[[], Wait]) -> None:
        """Wait until the device has at most one forward."""
        previous, self._last_forward = self._last_forward, (self._clock(), mark())
        with suppress(Exception):  # the answers of the forward's batch raise again
            if previous is not None:
                previous[1]()
                if self._clock() - previous[0] > QUEUED_S:
                    self._last_forward[1]()

    def _begun(self, batch: _Batch) -> Callable[[], list[Answer]]:
        """Begin the calls as one batch. If the batch fails, each call runs alone."""
        interrupted = not batch.calls[0].interactive
        return self._begun_calls(batch.calls, partial(self._after_forward, batch) if interrupted else _run_on)

    def _begun_calls(self, calls: list[Call], after_forward: AfterForward) -> Callable[[], list[Answer]]:
        top_ks = [call.top_k for call in calls]
        try:
            scored = self._begin(concatenate([call.packed for call in calls]), max(top_ks), after_forward)
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

    def _within(self, batch: _Batch) -> Callable[[], list[Answer]]:
        """Run a single call to its end, inside its `around`. No other call runs in between."""
        try:
            with batch.calls[0].around:
                found = self._begun_calls(batch.calls, _run_on)()
        except Exception as error:
            found = self._failed(batch.calls, _plain(error))
        return lambda: found

    def _failed(self, calls: list[Call], failure: InferenceError) -> list[Answer]:
        logger.warning("a batch of %d calls failed: %s", len(calls), failure)
        if len(calls) == 1:
            return [failure]
        return [answer for call in calls for answer in self._begun_calls([call], _run_on)()]

    def _count(self, batch: _Batch, started: float, failed: bool) -> None:
        """`started`: when the device came to the batch, which is not before the end of the previous one."""
        taken_s = self._ended - started - batch.interrupted_s
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


def _run_on(tokens: int, mark: Callable[[], Wait]) -> None:
    """An `AfterForward` that does nothing."""


def _resolve(calls: list[Call], error: BaseException) -> None:
    """Resolve all `calls` after any error, so that no caller waits forever and the thread survives."""
    logger.error("BUG: the batcher failed a batch of %d calls: %r", len(calls), error)
    for call in calls:
        _settle(call, _plain(error))


def _settle(call: Call, answer: Answer) -> None:
    """Resolve one call. An error in a callback of its future must not reach other calls."""
    try:
        if isinstance(answer, Exception):
            call.future.set_exception(answer)
        else:
            call.future.set_result(answer)
    except BaseException:
        logger.exception("a callback of a call failed")


def _plain(error: BaseException) -> InferenceError:
    """A copy of `error`. The original may hold the batch's memory, or classes that the caller cannot unpickle."""
    return InferenceError(str(error) if isinstance(error, InferenceError) else f"BUG: {error!r}"[:300])
