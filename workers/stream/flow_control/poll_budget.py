"""How many bytes a poll may bring in, by what is in flight and by how long a turn of the loop takes.

All in the bytes of `record_batch.limits.weight`.
"""

import math

TURN_S = 1.0  # to decode and tokenize what a poll brought: an operator's commands and the liveness check wait for it
# Of one poll: a message of 1 MiB takes up to 0.3 s. The first poll may meet such, and so may the one after easy ones.
FIRST_TURN_BYTES, MAX_TURN_BYTES = 1024 * 1024, 8 * 1024 * 1024


class PollBudget:
    """What one poll may bring, of all partitions together: `most`, but its first record may weigh `first`.

    `taken`: what it has brought; `full`: something was left for a later poll.
    """

    def __init__(self, most: float = math.inf, first: float = math.inf) -> None:
        self._most, self._first = most, first
        self.taken, self.full = 0, False

    def takes(self, weight: int) -> bool:
        """Takes a record of this weight in, or nothing more from there on."""
        if self.taken + weight > (self._most if self.taken else max(self._most, self._first)):
            self.full = True
            return False
        self.taken += weight
        return True


class Budget:
    """`limits.max_in_flight_bytes`, and what a turn of the loop can do."""

    def __init__(self, max_in_flight_bytes: int) -> None:
        self._most = max_in_flight_bytes
        self._turn_bytes = FIRST_TURN_BYTES

    def spent(self, in_flight: int) -> bool:
        """Is there no room at all?"""
        return in_flight >= self._most

    def room(self, in_flight: int) -> PollBudget:
        """For the next poll. Where nothing is in flight it takes one record of any weight: the stream must go on."""
        left = self._most - in_flight
        return PollBudget(min(left, self._turn_bytes), left if in_flight else math.inf)

    def turned(self, room: PollBudget, seconds: float) -> None:
        """What that poll brought took so long to decode and to tokenize: the next one gets what takes `TURN_S`."""
        if seconds > TURN_S:
            self._turn_bytes = max(1, int(room.taken * TURN_S / seconds))
        elif room.full and seconds < TURN_S / 2:
            self._turn_bytes = min(MAX_TURN_BYTES, 2 * self._turn_bytes)
