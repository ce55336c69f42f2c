"""Should Serve replace a worker? Told by its thread how it goes, asked from any."""

import time
from collections.abc import Callable

from labelstream.workers.errors import LabelstreamError, StreamError
from labelstream.workers.stream.supervision.alerts import Alarms
from labelstream.workers.stream.supervision.restart_backoff import RestartBackoff
from labelstream.workers.stream.supervision.stall_detector import StallDetector, loop_stalls


class HealthCheck:
    """Of one worker. `peers`: when a model's silence fails it.

    `failure`: what ended the worker. `trouble`: what ended its last run, until the next one has partitions. `stalled`:
    has its loop ever been as slow as fails the check?
    """

    def __init__(
        self,
        pipeline: str,
        peers: StallDetector,
        alarms: Alarms,
        restarts: RestartBackoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline, self._loop, self._peers = pipeline, loop_stalls(), peers
        self._alarms, self._restarts, self._clock = alarms, restarts, clock
        self._looped_at = clock()
        self.stalled = False
        self.failure: BaseException | None = None
        self.trouble: LabelstreamError | None = None

    def loop_began(self) -> None:
        """A run's loop begins: what came before is not its time."""
        self._looped_at = self._clock()

    def looped(self) -> None:
        """The loop has turned once."""
        self.stalled = self.stalled or self._loop.fails(self.loop_idle_s())
        self._looped_at = self._clock()

    def loop_idle_s(self) -> float:
        return self._clock() - self._looped_at

    def check(self, alive: bool, stopping: bool, oldest_s: float) -> None:
        """Raises `StreamError` when the worker is dead, does not turn, or makes no progress with what it holds.

        `alive`: does its thread run; `stopping`: it was told to; `oldest_s`: see `PipelineMonitor`. Alarms are raised
        on the way.
        """
        name, idle_s = self._pipeline, self.loop_idle_s()
        if self.failure is not None:
            raise StreamError(f"pipeline {name} stopped: {self.failure}") from self.failure
        if not alive:
            raise StreamError(f"pipeline {name} is not running")
        if self._restarts.too_many():
            raise StreamError(f"pipeline {name} started anew {self._restarts.in_row} times in a row: {self.trouble}")
        silent = self._loop.warns(idle_s) and self.trouble is None and not stopping
        text = f"the loop has not turned for more than {self._loop.warn_s:g} s"
        self._alarms.update("check", {"loop": text} if silent else {})
        if self._loop.fails(idle_s) and self.trouble is None:
            raise StreamError(f"pipeline {name}: its loop has not turned for {idle_s:.0f} s")
        if self._peers.fails(oldest_s):
            raise StreamError(
                f"pipeline {name}: messages are in flight for {oldest_s:.0f} s "
                f"(stall_timeout_s is {self._peers.fail_s:.0f})"
            )
