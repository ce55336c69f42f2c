"""When the next poll is due, by what the last one brought."""

import time
from collections.abc import Callable

# Between two polls while something is in flight, by what the first one brought: nothing, or less than it was asked for.
# A poll takes a millisecond, and the threads that carry a call or a result on its way wait for it under the GIL.
BUSY_WAIT_S, PARTIAL_WAIT_S = 0.02, 0.005
PAUSED_WAIT_S = 0.05


class PollTimer:
    """`polled_at`: when the last poll ended, in monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.polled_at = clock()
        self._pause_s = 0.0

    def wait_s(self, paused: bool) -> float:
        """Until the next poll; at most 0 where it is due. `paused`: it will bring nothing."""
        return self.polled_at + (PAUSED_WAIT_S if paused else self._pause_s) - self._clock()

    def skip_wait(self) -> None:
        """Something came back meanwhile: the next poll is due at once."""
        self._pause_s = 0.0

    def polled(self, count: int, full: bool) -> None:
        """A poll brought `count` records; `full`: as many as it may, or it was paused."""
        self.polled_at = self._clock()
        self._pause_s = 0.0 if full else PARTIAL_WAIT_S if count else BUSY_WAIT_S
