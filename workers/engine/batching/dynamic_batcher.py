"""Joins the calls of all workers into batches, on the device's thread.

docs/adr/0004-no-serve-batch.md compares this batcher with `@serve.batch`.

Needs numpy only, so that it can be measured on a bare machine. The owner passes a function that makes spans.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from typing import Any

from labelstream.workers.engine.batching.batch import Begin
from labelstream.workers.engine.batching.device_batches import DeviceBatches, MakeSpan
from labelstream.workers.engine.batching.interruptions import Interruptions
from labelstream.workers.engine.batching.lanes import Call, Lanes
from labelstream.workers.engine.batching.settlement import settle
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError

# Waiting calls are joined up to these bounds: to fill every forward, and to sort more texts by length against padding.
# Texts/s on 2 cores by texts per batch: 128: 190, 512: 255, 1,024: 275, 2,048: 290. A larger batch would only delay
# its first caller.
JOINED_FORWARDS = 4
JOINED_TOKENS = 32_768
ALONE = 8  # after so many batches of one call in a row the batcher stops waiting for further calls


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
        span: MakeSpan | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device, self._overlaps, self._clock = device, overlaps, clock
        self._full_tokens, self._max_delay_s = full_tokens, max_delay_s
        self._arrived = threading.Condition()
        self._waiting = Lanes()
        self._closed: InferenceError | None = None
        self._alone = 0  # batches of one call in a row
        self._batches = DeviceBatches(begin, span, clock)
        self._interruptions = Interruptions(self._waiting, self._arrived, self._batches, clock)

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
            self._device.submit(self._batches.end_open)  # no later job would end the open batch
        settle(dropped, [error] * len(dropped))

    def busy_for_s(self) -> float:
        """Seconds that the current batch has been on the device; 0 without one."""
        return self._batches.busy_for_s()

    @property
    def failed_in_row(self) -> int:
        """Number of consecutive batches, up to the last one, that failed for all of their calls."""
        return self._batches.failed_in_row

    def counts(self) -> dict[str, Any]:
        """Totals since the start, and `histograms` (see `labelstream.workers.histogram.Buckets`): seconds that calls
        waited, seconds that batches ran, tokens per batch.
        """
        return self._batches.statistics.counts()

    def _run_waiting(self) -> None:
        calls = self._take()
        batch = None
        if calls:
            between = None if calls[0].interactive else self._interruptions.after_forward
            batch = self._batches.begin(calls, between)
        self._batches.end_open(batch)
        if batch is None:
            return
        if self._overlaps and self._waiting:
            self._batches.open = batch  # the job of a waiting call ends it
        else:
            self._batches.end(batch)

    def _run_apart(self, call: Call) -> None:
        self._batches.end_open()
        if call.future.set_running_or_notify_cancel() and (batch := self._batches.begin([call])):
            self._batches.end(batch)

    def _take(self) -> list[Call]:
        with self._arrived:
            if not self._waiting:
                return []
            may_wait = self._batches.open is None and self._alone < ALONE
            deadline = self._waiting.oldest + (self._max_delay_s if may_wait else 0.0)
            while self._waiting.tokens < self._full_tokens and (left_s := deadline - self._clock()) > 0:
                self._arrived.wait(left_s)
            calls = self._waiting.take(self._full_tokens)
            self._alone = 0 if len(calls) > 1 or self._waiting else self._alone + 1
            return calls
