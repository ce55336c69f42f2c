"""How many bytes a poll may bring in, by what is in flight and by how long a turn of the loop takes.

All in the bytes of `record_batch.limits.weight`.
"""

import math

TURN_S = 1.0  # to decode and tokenize what a poll brought: an operator's commands and the liveness check wait for it
# Of one poll: a message of 1 MiB takes up to 0.3 s. The first poll may meet such, and so may the one after easy ones.
FIRST_TURN_BYTES, MAX_TURN_BYTES = 1024 * 1024, 8 * 1024 * 1024


class PollBudget:
    """What one poll may bring, of all partitions together: `max_bytes`, but its first record may weigh `first`.

    `taken`: what it has brought; `full`: something was left for a later poll.
    """

    def __init__(self, max_bytes: float = math.inf, first: float = math.inf) -> None:
        self._max_bytes, self._first = max_bytes, first
        self.taken, self.full = 0, False

    def takes(self, weight: int) -> bool:
        """Takes a record of this weight in, or nothing more from there on."""
        if self.taken + weight > (self._max_bytes if self.taken else max(self._max_bytes, self._first)):
            self.full = True
            return False
        self.taken += weight
        return True


class ByteBudget:
    """`limits.max_in_flight_bytes`, and what a turn of the loop can do."""

    def __init__(self, max_in_flight_bytes: int) -> None:
        self._max_bytes = max_in_flight_bytes
        self._turn_bytes = FIRST_TURN_BYTES

    def spent(self, in_flight: int) -> bool:
        """Is nothing left of it?"""
        return in_flight >= self._max_bytes

    def next_poll(self, in_flight: int) -> PollBudget:
        """Where nothing is in flight it takes one record of any weight: the stream must go on."""
        left = self._max_bytes - in_flight
        return PollBudget(min(left, self._turn_bytes), left if in_flight else math.inf)

    def observe(self, poll: PollBudget, seconds: float) -> None:
        """What that poll brought took so long to decode and to tokenize: the next one gets what takes `TURN_S`."""
        if seconds > TURN_S:
            self._turn_bytes = max(1, int(poll.taken * TURN_S / seconds))
        elif poll.full and seconds < TURN_S / 2:
            self._turn_bytes = min(MAX_TURN_BYTES, 2 * self._turn_bytes)
