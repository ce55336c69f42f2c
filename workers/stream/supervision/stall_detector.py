"""Does something that has work to do make no progress? One answer for the loop, for peers and for partitions."""

import math
import time
from collections.abc import Callable, Mapping

from labelstream.workers.settings import Settings

SILENT_S = 10.0  # a healthy turn of the loop takes 0.1 s, an answer or an acknowledgement seldom more than a second
LOOP_FAIL_S = 60.0


class StallDetector:
    """`warn_s` without progress are an alarm; `fail_s` fail the worker's health check. Pure."""

    def __init__(self, warn_s: float, fail_s: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self.warn_s, self.fail_s, self._clock = warn_s, fail_s, clock
        self._progress: dict[str, tuple[int, float]] = {}

    def warns(self, idle_s: float) -> bool:
        return idle_s >= self.warn_s

    def fails(self, idle_s: float) -> bool:
        return idle_s >= self.fail_s

    def idle_s(self, done: Mapping[str, int]) -> dict[str, float]:
        """Seconds since each got further. `done`: how far those are that have work to do; others are forgotten."""
        now, before = self._clock(), self._progress
        self._progress = {
            name: before[name] if name in before and before[name][0] == count else (count, now)
            for name, count in done.items()
        }
        return {name: now - since for name, (_, since) in self._progress.items()}


def loop_stalls() -> StallDetector:
    """Of the pipeline's loop."""
    return StallDetector(SILENT_S, LOOP_FAIL_S)


def peer_stalls(settings: Settings, pipeline: str) -> StallDetector:
    """Of a pipeline's models that owe an answer, and topics that owe an acknowledgement.

    A call says that it has failed when its model was silent for `call_timeout_s`, or for twice that where what it asks
    runs by itself. To start the worker anew before would forget what was found out about its records.
    """
    ours = settings.pipelines[pipeline]
    call_timeout_s = max(settings.models[model].call_timeout_s for model in ours.allowed_models)
    return StallDetector(SILENT_S, max(ours.stall_timeout_s, 2.5 * call_timeout_s))
