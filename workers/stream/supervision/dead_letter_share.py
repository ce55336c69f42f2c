"""Alarm for too many dead letters, whatever their reasons; the pipeline continues."""

import time
from collections import Counter, deque
from collections.abc import Callable

from labelstream.workers.settings.pipeline import BreakerSettings
from labelstream.workers.stream.stats import Stats


class DeadLetterShare:
    """Share of dead letters with the breaker's limits: over `window_s`, with at least `min_messages` messages."""

    def __init__(self, settings: BreakerSettings, stats: Stats, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._stats, self._clock = settings, stats, clock
        self._looks: deque[tuple[float, int, Counter[str]]] = deque([(clock(), *stats.outcomes())])

    def alarm(self) -> str:
        """The alarm's text; empty while the share is within `max_share`."""
        now, settings = self._clock(), self._settings
        results, dead = self._stats.outcomes()
        self._looks.append((now, results, dead))
        while len(self._looks) > 2 and self._looks[1][0] <= now - settings.window_s:
            self._looks.popleft()
        _, results_before, dead_before = self._looks[0]
        recent = dead - dead_before
        messages = results - results_before + recent.total()
        if messages < settings.min_messages or recent.total() <= settings.max_share * messages:
            return ""
        reasons = ", ".join(f"{reason} {count}" for reason, count in recent.most_common())
        return (
            f"{recent.total()} of the last {messages} messages became dead letters ({reasons}), which is above "
            f"breaker.max_share ({settings.max_share:g}); the pipeline continues"
        )
