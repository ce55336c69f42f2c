"""Stall detector for the worker's loop, models, topics and partitions."""

import math
import time
from collections.abc import Callable, Mapping

from labelstream.workers.settings.application import Settings

SILENT_S = 10.0  # normally an iteration takes 0.1 s, and an answer or acknowledgement less than a second
LOOP_FAIL_S = 60.0


class StallDetector:
    """`warn_s` without progress raise an alarm; `fail_s` fail the health check."""

    def __init__(self, warn_s: float, fail_s: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self.warn_s, self.fail_s, self._clock = warn_s, fail_s, clock
        self._progress: dict[str, tuple[int, float]] = {}

    def warns(self, idle_s: float) -> bool:
        return idle_s >= self.warn_s

    def fails(self, idle_s: float) -> bool:
        return idle_s >= self.fail_s

    def idle_s(self, done: Mapping[str, int]) -> dict[str, float]:
        """Seconds without progress by name. `done`: progress of all that have work; other names are forgotten."""
        now, before = self._clock(), self._progress
        self._progress = {
            name: before[name] if name in before and before[name][0] == count else (count, now)
            for name, count in done.items()
        }
        return {name: now - progressed_at for name, (_, progressed_at) in self._progress.items()}


def loop_stalls() -> StallDetector:
    """Stall limits of the pipeline's loop."""
    return StallDetector(SILENT_S, LOOP_FAIL_S)


def peer_stalls(settings: Settings, pipeline: str) -> StallDetector:
    """Stall limits of a pipeline's models (answers) and topics (acknowledgements).

    A call fails by itself after `call_timeout_s` of silence, or twice that if a request is isolated. The limit is
    higher, because a restart would lose what is known about suspect records.
    """
    own = settings.pipelines[pipeline]
    call_timeout_s = max(settings.models[model].call_timeout_s for model in own.allowed_models)
    return StallDetector(SILENT_S, max(own.stall_timeout_s, 2.5 * call_timeout_s))
