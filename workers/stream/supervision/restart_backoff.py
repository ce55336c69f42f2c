"""How long to wait before a stream is started anew, and when a new process would be better."""

import time
from collections.abc import Callable

from labelstream.workers.stream.flow_control.backoff import Backoff

FIRST_S, MAX_S = 1.0, 30.0
SOUND_S = 10.0  # a run that lasted so long, and delivered, has got over what ended the one before it
# Each failed connection leaves one of kafka-python's threads behind: after so many a new process is better.
MAX_IN_ROW = 20


class RestartBackoff:
    """Of one stream. Pauses double from 1 s to 30 s as long as no run is sound.

    `in_row`: how many runs ended since one last had partitions.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._backoff = clock, Backoff(FIRST_S, MAX_S)
        self._began_at = self._delivered = 0.0
        self.in_row = 0

    def began(self, delivered: int) -> None:
        """A run begins; `delivered` counts what was delivered until now."""
        self._began_at, self._delivered = self._clock(), delivered

    def ended(self, delivered: int) -> float:
        """The run ended with an error: seconds to wait before the next one."""
        self.in_row += 1
        if delivered > self._delivered and self._clock() - self._began_at > SOUND_S:
            self._backoff.reset()
        return self._backoff.next_s()

    def joined(self) -> None:
        """The run has partitions."""
        self.in_row = 0

    def too_many(self) -> bool:
        """Is it time for a new process?"""
        return self.in_row > MAX_IN_ROW
