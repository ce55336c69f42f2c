"""The batches on the device: begins them, ends them, and knows how long the device has been busy."""

import time
from collections.abc import Callable
from functools import partial

from labelstream.workers.engine.batching.batch import Batch, Begin, Span, Wait, run_on
from labelstream.workers.engine.batching.batch_statistics import BatchStatistics
from labelstream.workers.engine.batching.lanes import Call
from labelstream.workers.engine.batching.settlement import settle, settle_bug

# As `labelstream.workers.tracing.forward`: (traces of the calls, sequences of all calls, tokens of all calls).
MakeSpan = Callable[[list[str | None], int, int], Span]
# As `AfterForward`, with the batch before.
BetweenForwards = Callable[[Batch, int, Callable[[], Wait]], None]


class DeviceBatches:
    """Begins and ends batches on the device's thread; other threads may call `busy_for_s`, and read the attributes.

    `open`: the batch whose answers nobody waits for yet. `failed_in_row`: number of consecutive batches, up to the last
    one, that failed for all of their calls.
    """

    def __init__(self, begin: Begin, make_span: MakeSpan | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._begin, self._make_span, self._clock = begin, make_span, clock
        self.statistics = BatchStatistics()
        self.open: Batch | None = None
        self.failed_in_row = 0
        self._busy_since: float | None = None
        self._ended = 0.0

    def busy_for_s(self) -> float:
        """Seconds that the current batch has been on the device; 0 without one."""
        started = self._busy_since
        return 0.0 if started is None else self._clock() - started

    def begin(self, calls: list[Call], between_forwards: BetweenForwards | None = None) -> Batch | None:
        """Begin a batch. None if that failed; the calls are then resolved with the error."""
        batch = Batch(calls, self._begin, self._clock())
        if self._busy_since is None:
            self._busy_since = batch.started
        try:
            if self._make_span is not None:
                batch.span = self._make_span([call.trace for call in calls], batch.sequences, batch.tokens)
            batch.begin(run_on if between_forwards is None else partial(between_forwards, batch))
        except BaseException as error:
            self._busy_since = None
            settle_bug(calls, error)
            return None
        return batch

    def end(self, batch: Batch) -> None:
        """Wait for the answers of `batch`, which follows the last ended one, and resolve its calls."""
        try:
            answers = batch.answers()
            if batch.span is not None:
                batch.span.end()
        except BaseException as error:
            self._busy_since = None
            settle_bug(batch.calls, error)
            return
        started, self._ended, self._busy_since = max(batch.started, self._ended), self._clock(), None
        failed = all(isinstance(answer, Exception) for answer in answers)
        self.failed_in_row = self.failed_in_row + 1 if failed else 0
        waited_s = [started - call.arrived for call in batch.calls]
        taken_s = self._ended - started - batch.interrupted_s
        self.statistics.count(waited_s, batch.sequences, batch.tokens, taken_s, failed)
        settle(batch.calls, answers)

    def end_open(self, running: Batch | None = None) -> None:
        """End the open batch, if there is one. `running`: the batch that the device runs from now on."""
        batch, self.open = self.open, None
        if batch is not None:
            self.end(batch)
        if running is not None:
            self._go_on(running)

    def interrupt(self, batch: Batch, calls: list[Call]) -> None:
        """Run `calls`, of which there may be none, to their end between two forwards of `batch`."""
        began, ended = self._clock(), self._ended
        if calls and (interrupting := self.begin(calls)) is not None:
            self.end(interrupting)
            self._ended = ended
        batch.interrupted_s += self._clock() - began
        self._go_on(batch)

    def _go_on(self, batch: Batch) -> None:
        if self._busy_since is None:
            self._busy_since = max(batch.started, self._ended)
