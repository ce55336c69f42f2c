"""Failure rate of the model over a sliding window, by which the circuit breaker opens."""

import time
from collections import deque
from collections.abc import Callable

from labelstream.workers.settings.pipeline import BreakerSettings


class FailureRateWindow:
    """Counts messages and failures. `tripped`: the last micro-batch was refused."""

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._window: deque[tuple[float, int, int]] = deque()
        self._grace = 0
        self.tripped = False

    def admits(self, messages: int, dead: int) -> bool:
        """May a micro-batch of `messages`, of which the model failed `dead`, be produced? Counts them if so.

        True if the micro-batch alone is within the limit, whatever preceded it.
        """
        now = self._clock()
        while self._window and self._window[0][0] < now - self._settings.window_s:
            self._window.popleft()
        if self._grace > 0:
            self._grace -= messages
        elif self.over(messages, dead):
            total = messages + sum(count for _, count, _ in self._window)
            if self.tripped or (total >= self._settings.min_messages and self.over(total, dead + self._dead())):
                self.tripped = True
                return False
        self._window.append((now, messages, dead))
        self.tripped = False
        return True

    def over(self, messages: int, dead: int) -> bool:
        """Is the share of `dead` messages above the limit?"""
        return dead > self._settings.max_share * messages

    def reset(self, grace: int = 0) -> None:
        """Empty the window. The next `grace` messages or more are admitted without a check."""
        self._window.clear()
        self._grace, self.tripped = grace, False

    def _dead(self) -> int:
        return sum(dead for _, _, dead in self._window)
