"""How long to wait before a stream is started anew, and when a new process would be better."""

import time

FIRST_S, MAX_S = 1.0, 30.0
SOUND_S = 10.0  # a run that lasted so long, and delivered, has got over what ended the one before it
# Each failed connection leaves one of kafka-python's threads behind: after so many a new process is better.
MAX_IN_ROW = 20


class RestartBackoff:
    """Of one stream. Pauses double from 1 s to 30 s as long as no run is sound; times are of `time.monotonic`.

    `in_row`: how many runs ended since one last had partitions.
    """

    def __init__(self) -> None:
        self.in_row = 0
        self._pause_s = 0.0
        self._began_at = self._delivered = 0.0

    def began(self, delivered: int) -> None:
        """A run begins; `delivered` counts what was delivered until now."""
        self._began_at, self._delivered = time.monotonic(), delivered

    def ended(self, delivered: int) -> float:
        """The run ended with an error: seconds to wait before the next one."""
        self.in_row += 1
        sound = delivered > self._delivered and time.monotonic() - self._began_at > SOUND_S
        self._pause_s = FIRST_S if sound else min(max(FIRST_S, 2 * self._pause_s), MAX_S)
        return self._pause_s

    def settled(self) -> None:
        """The run has partitions."""
        self.in_row = 0

    def too_many(self) -> bool:
        """Is it time for a new process?"""
        return self.in_row > MAX_IN_ROW
