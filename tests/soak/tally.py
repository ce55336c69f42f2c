"""One bit for each input: does it have an answer?"""

import re
from typing import NamedTuple

_SOURCE = re.compile(rb'"source":\{"topic":"[^"]*","partition":(\d+),"offset":(\d+)')


class Totals(NamedTuple):
    """Numbers of inputs without an answer, extra answers, and answers to unknown inputs."""

    lost: int
    twice: int
    unknown: int


class Tally:
    """For partitions with the offsets 0, 1, 2, .. without gaps, as without transactions."""

    def __init__(self) -> None:
        self._seen: dict[int, bytearray] = {}
        self.answers = self.different = 0
        self.last_at = 0.0  # monotonic seconds of the last answer, for other threads

    def add(self, value: bytes) -> None:
        """Mark the input of one result."""
        found = _SOURCE.search(value)
        if found is None:
            raise ValueError("a result without a source")
        self.mark(int(found[1]), int(found[2]))

    def mark(self, partition: int, offset: int) -> None:
        """Mark one answer to the input at this offset."""
        bits = self._seen.setdefault(partition, bytearray())
        byte, bit = offset >> 3, 1 << (offset & 7)
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits) + 4_096))
        self.answers += 1
        self.different += not bits[byte] & bit
        bits[byte] |= bit

    def totals(self, ends: dict[int, int]) -> Totals:
        """`ends`: end offset of each input partition."""
        known = 0
        for partition, end in ends.items():
            bits = self._seen.get(partition, bytearray())
            whole, rest = divmod(end, 8)
            known += int.from_bytes(bits[:whole]).bit_count()
            if rest and whole < len(bits):
                known += (bits[whole] & ((1 << rest) - 1)).bit_count()
        return Totals(sum(ends.values()) - known, self.answers - self.different, self.different - known)
