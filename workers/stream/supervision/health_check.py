"""Health check of a worker: should Ray Serve replace it?"""

import time
from collections.abc import Callable

from labelstream.workers.errors import LabelstreamError, StreamError
from labelstream.workers.stream.supervision.alarms import Alarms
from labelstream.workers.stream.supervision.restart_backoff import RestartBackoff
from labelstream.workers.stream.supervision.stall_detector import StallDetector, loop_stalls


class HealthCheck:
    """State of one worker, written by its thread and read by any. `peers`: how long a model may be silent.

    `failure`: the error that ended the worker. `trouble`: the error of the last run, until the next run has partitions.
    `stalled`: has the loop ever been blocked for as long as fails the check?
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
        """Start timing: a run's loop begins."""
        self._looped_at = self._clock()

    def looped(self) -> None:
        """Record one iteration of the loop."""
        self.stalled = self.stalled or self._loop.fails(self.loop_idle_s())
        self._looped_at = self._clock()

    def loop_idle_s(self) -> float:
        return self._clock() - self._looped_at

    def check(self, alive: bool, stopping: bool, oldest_s: float) -> None:
        """Raise `StreamError` if the worker is dead, its loop blocked, or its messages in flight for too long.

        `alive`: is its thread running; `stopping`: was it told to stop; `oldest_s`: see `PipelineMonitor`. Also updates
        the loop's alarm.
        """
        name, idle_s = self._pipeline, self.loop_idle_s()
        if self.failure is not None:
            raise StreamError(f"pipeline {name} stopped: {self.failure}") from self.failure
        if not alive:
            raise StreamError(f"pipeline {name} is not running")
        if self._restarts.too_many():
            raise StreamError(f"pipeline {name} restarted {self._restarts.in_row} times in a row: {self.trouble}")
        silent = self._loop.warns(idle_s) and self.trouble is None and not stopping
        text = f"the worker's loop has been blocked for more than {self._loop.warn_s:g} s"
        self._alarms.update("check", {"loop": text} if silent else {})
        if self._loop.fails(idle_s) and self.trouble is None:
            raise StreamError(f"pipeline {name}: the worker's loop has been blocked for {idle_s:.0f} s")
        if self._peers.fails(oldest_s):
            raise StreamError(
                f"pipeline {name}: messages have been in flight for {oldest_s:.0f} s "
                f"(stall_timeout_s is {self._peers.fail_s:.0f})"
            )
