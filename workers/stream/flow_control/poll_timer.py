"""Wait before the next poll, from the number of records of the last poll."""

import time
from collections.abc import Callable

# Waits with records in flight: after an empty poll, and after a poll with fewer records than requested. A poll takes a
# millisecond, and under the GIL it delays the threads of calls and results.
BUSY_WAIT_S, PARTIAL_WAIT_S = 0.02, 0.005
PAUSED_WAIT_S = 0.05


class PollTimer:
    """`polled_at`: monotonic seconds of the end of the last poll."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.polled_at = clock()
        self._pause_s = 0.0

    def wait_s(self, paused: bool) -> float:
        """Seconds until the next poll; 0 or less if due. `paused`: the poll will return no records."""
        return self.polled_at + (PAUSED_WAIT_S if paused else self._pause_s) - self._clock()

    def skip_wait(self) -> None:
        """Make the next poll due at once, because an answer or acknowledgement arrived."""
        self._pause_s = 0.0

    def polled(self, count: int, full: bool) -> None:
        """Record a poll of `count` records. `full`: as many as requested, or paused."""
        self.polled_at = self._clock()
        self._pause_s = 0.0 if full else PARTIAL_WAIT_S if count else BUSY_WAIT_S
