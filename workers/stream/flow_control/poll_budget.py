"""Byte limit of each poll, from the bytes in flight and the time that decoding takes.

All bytes are weights of `record_batch.limits.weight`.
"""

import math

DECODE_S = 1.0  # goal for decoding and tokenizing one poll: commands and the liveness check wait meanwhile
# A message of 1 MiB takes up to 0.3 s. The limit starts low because the first poll may bring such messages.
FIRST_TURN_BYTES, MAX_TURN_BYTES = 1024 * 1024, 8 * 1024 * 1024


class PollBudget:
    """Byte limit of one poll over all partitions. `first`: weight allowed for its first record, if above `max_bytes`.

    `taken`: bytes of the records taken; `full`: a record was left for a later poll.
    """

    def __init__(self, max_bytes: float = math.inf, first: float = math.inf) -> None:
        self._max_bytes, self._first = max_bytes, first
        self.taken, self.full = 0, False

    def takes(self, weight: int) -> bool:
        """Take a record of this weight; False if the record exceeds the limit. After a False, take no more records."""
        if self.taken + weight > (self._max_bytes if self.taken else max(self._max_bytes, self._first)):
            self.full = True
            return False
        self.taken += weight
        return True


class ByteBudget:
    """Bytes left of `limits.max_in_flight_bytes`, and the bytes that the worker decodes in DECODE_S."""

    def __init__(self, max_in_flight_bytes: int) -> None:
        self._max_bytes = max_in_flight_bytes
        self._turn_bytes = FIRST_TURN_BYTES

    def spent(self, in_flight: int) -> bool:
        """Are all bytes used?"""
        return in_flight >= self._max_bytes

    def next_poll(self, in_flight: int) -> PollBudget:
        """The limit of the next poll. With nothing in flight, its first record may have any weight."""
        left = self._max_bytes - in_flight
        return PollBudget(min(left, self._turn_bytes), left if in_flight else math.inf)

    def observe(self, poll: PollBudget, seconds: float) -> None:
        """Adjust the limit: the worker decoded and tokenized the records of `poll` in `seconds`."""
        if seconds > DECODE_S:
            self._turn_bytes = max(1, int(poll.taken * DECODE_S / seconds))
        elif poll.full and seconds < DECODE_S / 2:
            self._turn_bytes = min(MAX_TURN_BYTES, 2 * self._turn_bytes)
