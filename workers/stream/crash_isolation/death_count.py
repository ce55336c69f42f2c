"""How many workers died of the records from a committed offset on, kept in that offset's metadata. Pure.

Before a worker takes records, it commits the partition's offset again with the text of what is known if it dies of
them. A commit that goes on takes the text away with it. So whoever finds one, another process than the one that wrote
it, knows that this one ended without progress and out of order.
"""

import math
import re
from typing import NamedTuple

FREE_RECORDS = 256  # what a fresh worker has in flight before its first answer, see batch_sizer.py and pipeline.py
PARTS = 16  # a range of suspects is taken in so many windows: 256, 16, 1
MAX_ALONE = 3
_TEXT = re.compile(r"labelstream:1;by=([0-9a-f]{1,32});lives=(\d{1,9});records=(\d{1,9});alone=(\d{1,9})\0?", re.ASCII)
END = "\0"  # confluent-kafka (2.16) takes metadata for a C string, and reads on behind one that has no such end


class CrashHistory(NamedTuple):
    """What the ends of earlier workers tell of the records from an offset on.

    `lives`: workers in a row that died without getting past the offset. `records`: at most so many were in flight in
    the last one, and the first of them is at the offset. `alone`: of these workers, those that died while the first
    record was the only one in flight.
    """

    lives: int = 0
    records: int = 0
    alone: int = 0

    def window(self) -> int:
        """How many records may be taken at once: 1 or more."""
        return max(1, math.ceil(self.records / PARTS))

    def after(self, records: int, alone: bool = False) -> "CrashHistory":
        """What is known if this worker dies as well, with so many records in flight."""
        return CrashHistory(self.lives + 1, records, self.alone + alone)

    def text(self, by: str) -> str:
        """As metadata of an offset, written by the process `by`, some hexadecimal digits; empty without a death."""
        counts = f"lives={self.lives};records={self.records};alone={self.alone}"
        return f"labelstream:1;by={by};{counts}{END}" if self else ""

    def __bool__(self) -> bool:
        return self.lives > 0


def read(metadata: str) -> tuple[str, CrashHistory]:
    """Which process wrote it, and what it tells. ("", no evidence) for what anybody else has written."""
    found = _TEXT.fullmatch(metadata)
    if found is None:
        return "", CrashHistory()
    lives, records, alone = map(int, found.groups()[1:])
    return found[1], CrashHistory(lives, min(records, FREE_RECORDS), alone)
