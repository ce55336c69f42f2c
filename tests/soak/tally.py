"""Which inputs have an answer, in one bit for each."""

import re
from typing import NamedTuple

_SOURCE = re.compile(rb'"source":\{"topic":"[^"]*","partition":(\d+),"offset":(\d+)')


class Totals(NamedTuple):
    """How many inputs have no answer, how many answers are beyond an input's first, and how many are of no input."""

    lost: int
    twice: int
    unknown: int


class Tally:
    """Of partitions whose inputs have the offsets 0, 1, 2, .. without gaps, as without transactions."""

    def __init__(self) -> None:
        self._seen: dict[int, bytearray] = {}
        self.answers = self.different = 0
        self.last_at = 0.0  # monotonic seconds: when the last answer came, for whoever reads

    def add(self, value: bytes) -> None:
        """One result's value."""
        found = _SOURCE.search(value)
        if found is None:
            raise ValueError("a result without a source")
        self.mark(int(found[1]), int(found[2]))

    def mark(self, partition: int, offset: int) -> None:
        """One answer to the input there."""
        bits = self._seen.setdefault(partition, bytearray())
        byte, bit = offset >> 3, 1 << (offset & 7)
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits) + 4_096))
        self.answers += 1
        self.different += not bits[byte] & bit
        bits[byte] |= bit

    def totals(self, ends: dict[int, int]) -> Totals:
        """`ends`: of each input partition the offset behind its last record."""
        known = 0
        for partition, end in ends.items():
            bits = self._seen.get(partition, bytearray())
            whole, rest = divmod(end, 8)
            known += int.from_bytes(bits[:whole]).bit_count()
            if rest and whole < len(bits):
                known += (bits[whole] & ((1 << rest) - 1)).bit_count()
        return Totals(sum(ends.values()) - known, self.answers - self.different, self.different - known)
