"""Crash counts in offset metadata: how many workers died of the records after a committed offset. Pure functions.

Before reading records, a worker commits the partition's offset again, with a note in the metadata: the count if this
worker dies. A later commit of a higher offset removes the note. So a worker that finds another process's note knows
that this process died without progress.
"""

import math
import re
from typing import NamedTuple

FREE_RECORDS = 256  # most records in flight before a new worker's first answer, see batch_sizer.py and pipeline.py
PARTS = 16  # each death divides the window of suspect records: 256, 16, 1
MAX_ALONE = 3
_TEXT = re.compile(r"labelstream:1;by=([0-9a-f]{1,32});lives=(\d{1,9});records=(\d{1,9});alone=(\d{1,9})\0?", re.ASCII)
END = "\0"  # confluent-kafka (2.16) reads metadata as a C string and overruns strings without a terminator


class CrashHistory(NamedTuple):
    """What notes tell about the records from an offset on.

    `lives`: workers in a row that died without progress. `records`: most records in flight in the last of them, the
    first one at the offset. `alone`: how many of these workers died with only the first record in flight.
    """

    lives: int = 0
    records: int = 0
    alone: int = 0

    def window(self) -> int:
        """How many records may be read at once, at least 1."""
        return max(1, math.ceil(self.records / PARTS))

    def after(self, records: int, alone: bool = False) -> "CrashHistory":
        """The history if this worker also dies, with `records` in flight."""
        return CrashHistory(self.lives + 1, records, self.alone + alone)

    def text(self, by: str) -> str:
        """The note for an offset's metadata, written by process `by` (hexadecimal digits); empty without a death."""
        counts = f"lives={self.lives};records={self.records};alone={self.alone}"
        return f"labelstream:1;by={by};{counts}{END}" if self else ""

    def __bool__(self) -> bool:
        return self.lives > 0


def read(metadata: str) -> tuple[str, CrashHistory]:
    """The writing process and the history in a note; ("", no history) for foreign metadata."""
    found = _TEXT.fullmatch(metadata)
    if found is None:
        return "", CrashHistory()
    lives, records, alone = map(int, found.groups()[1:])
    return found[1], CrashHistory(lives, min(records, FREE_RECORDS), alone)
