"""Do models fail too many of the messages that they are asked about? Pure: told of each before it is produced."""

import time
from collections import deque
from collections.abc import Callable

from labelstream.workers.settings import BreakerSettings


class FailureRateWindow:
    """Counts over a sliding window. `tripped`: it refused the last micro-batch that it was asked about."""

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._window: deque[tuple[float, int, int]] = deque()
        self._grace = 0
        self.tripped = False

    def admits(self, messages: int, dead: int) -> bool:
        """May `messages` be produced, of which `dead` become dead letters by the model's fault? They count then.

        A micro-batch that is within the limit itself always may, whatever went before it.
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
        """Is this share above the limit?"""
        return dead > self._settings.max_share * messages

    def reset(self, grace: int = 0) -> None:
        """A fresh window. At least the next `grace` messages are admitted, whatever they become."""
        self._window.clear()
        self._grace, self.tripped = grace, False

    def _dead(self) -> int:
        return sum(dead for _, _, dead in self._window)
