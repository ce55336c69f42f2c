"""Which timestamp a result carries: its input's, where that is one and the topics take it."""

import re
from typing import NamedTuple, Self

from kafka.errors import InvalidTimestampError, KafkaError

DAY_MS = 86_400_000
YEAR_2000_MS = 946_684_800_000  # what is older was never a time: -1, 0, seconds taken for milliseconds
NO_LIMIT_MS = 2**63 - 1
_RANGE = re.compile(r"within \[(-?\d+), (-?\d+)\]")


def is_sound(timestamp_ms: int, now_ms: float) -> bool:
    """Is it a time, as far as one can see? Of a day that is to come it is none."""
    return YEAR_2000_MS <= timestamp_ms <= now_ms + DAY_MS


class Window(NamedTuple):
    """How far a record's timestamp may lie before and behind the time of sending, in ms.

    Below zero where the clocks of broker and worker differ.
    """

    before_ms: int = NO_LIMIT_MS
    after_ms: int = DAY_MS

    def takes(self, timestamp_ms: int, now_ms: float) -> bool:
        return is_sound(timestamp_ms, now_ms) and -self.before_ms <= timestamp_ms - now_ms <= self.after_ms

    def within(self, other: Self) -> "Window":
        """What both take."""
        return Window(min(self.before_ms, other.before_ms), min(self.after_ms, other.after_ms))


NOTHING = Window(-1, -1)


def window_told_by(error: KafkaError, now_ms: float) -> Window | None:
    """What a topic takes that refused a record with `error`; None where that was not for its timestamp.

    A broker that tells no range takes, as far as is known, no time but that of sending.
    """
    if not isinstance(error, InvalidTimestampError):
        return None
    found = _RANGE.search(str(error))
    if found is None:
        return NOTHING
    first, last = (int(number) for number in found.groups())
    return Window(int(now_ms) - first, last - int(now_ms))
