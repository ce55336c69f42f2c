"""Lets interactive calls run between two forwards of a batch."""

import threading
from collections.abc import Callable
from contextlib import suppress

from labelstream.workers.engine.batching.batch import Batch, Wait
from labelstream.workers.engine.batching.device_batches import DeviceBatches
from labelstream.workers.engine.batching.lanes import Lanes

# While interactive calls are in use, an overlapping device holds one forward beside the running one, or none if
# forwards take longer than this: an interactive call waits for what the device holds.
QUEUED_S = 0.010


class Interruptions:
    """Runs interactive calls of `waiting`, which `lock` guards, between two forwards of other batches."""

    def __init__(
        self, waiting: Lanes, lock: threading.Condition, batches: DeviceBatches, clock: Callable[[], float]
    ) -> None:
        self._waiting, self._lock, self._batches, self._clock = waiting, lock, batches, clock
        self._last_forward: tuple[float, Wait] | None = None  # when it began, and a function that waits for it

    def after_forward(self, batch: Batch, tokens: int, mark: Callable[[], Wait]) -> None:
        """Run waiting interactive calls after a forward of `batch` with `tokens`. Never raises."""
        if not self._waiting.in_use(self._clock()):
            self._last_forward = None
            return
        self._wait_for_device(mark)
        self._batches.end_open()  # has ended on the device
        with self._lock:
            calls = self._waiting.take_after_forward(tokens)
        self._batches.interrupt(batch, calls)

    def _wait_for_device(self, mark: Callable[[], Wait]) -> None:
        """Wait until the device has at most one forward."""
        previous, self._last_forward = self._last_forward, (self._clock(), mark())
        with suppress(Exception):  # the answers of the forward's batch raise again
            if previous is not None:
                previous[1]()
                if self._clock() - previous[0] > QUEUED_S:
                    self._last_forward[1]()
