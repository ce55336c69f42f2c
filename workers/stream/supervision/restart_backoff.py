"""Backoff between restarts of a pipeline's run, and their limit."""

import time
from collections.abc import Callable

from labelstream.workers.stream.flow_control.backoff import Backoff

FIRST_S, MAX_S = 1.0, 30.0
SOUND_S = 10.0  # a run that lasted longer and delivered resets the backoff
# Each failed connection leaks one of kafka-python's threads: after this many restarts, a new process is better.
MAX_IN_ROW = 20


class RestartBackoff:
    """Pauses double from 1 s to 30 s until a run is sound.

    `in_row`: runs ended since one last joined the group.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._backoff = clock, Backoff(FIRST_S, MAX_S)
        self._began_at = self._delivered = 0.0
        self.in_row = 0

    def began(self, delivered: int) -> None:
        """Record the start of a run. `delivered`: messages delivered before."""
        self._began_at, self._delivered = self._clock(), delivered

    def ended(self, delivered: int) -> float:
        """Record the failure of a run. Returns the seconds to wait before the next one."""
        self.in_row += 1
        if delivered > self._delivered and self._clock() - self._began_at > SOUND_S:
            self._backoff.reset()
        return self._backoff.next_s()

    def joined(self) -> None:
        """Record that the run has joined the group."""
        self.in_row = 0

    def too_many(self) -> bool:
        """Should Serve start a new process?"""
        return self.in_row > MAX_IN_ROW
