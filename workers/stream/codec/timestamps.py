"""Timestamp of a result: the input's timestamp, if it is plausible and the topics accept it."""

import re
from typing import NamedTuple, Self

from kafka.errors import InvalidTimestampError, KafkaError

DAY_MS = 86_400_000
YEAR_2000_MS = 946_684_800_000  # smaller values are errors: -1, 0, seconds instead of milliseconds
NO_LIMIT_MS = 2**63 - 1
_RANGE = re.compile(r"within \[(-?\d+), (-?\d+)\]")


def is_valid(timestamp_ms: int, now_ms: float) -> bool:
    """Whether the timestamp is plausible: from 2000 on, and at most one day ahead of `now_ms`."""
    return YEAR_2000_MS <= timestamp_ms <= now_ms + DAY_MS


class Window(NamedTuple):
    """Accepted distance of a record's timestamp before and after the time of sending, in ms.

    A bound is below zero if the clocks of broker and worker differ.
    """

    before_ms: int = NO_LIMIT_MS
    after_ms: int = DAY_MS

    def takes(self, timestamp_ms: int, now_ms: float) -> bool:
        return is_valid(timestamp_ms, now_ms) and -self.before_ms <= timestamp_ms - now_ms <= self.after_ms

    def within(self, other: Self) -> "Window":
        """Intersection of both windows."""
        return Window(min(self.before_ms, other.before_ms), min(self.after_ms, other.after_ms))


NOTHING = Window(-1, -1)


def error_window(error: KafkaError, now_ms: float) -> Window | None:
    """Window of a topic that refused a record with `error`; None if the timestamp was not the cause.

    NOTHING if the error names no range: the topic is known to accept the time of sending alone.
    """
    if not isinstance(error, InvalidTimestampError):
        return None
    found = _RANGE.search(str(error))
    if found is None:
        return NOTHING
    first, last = (int(number) for number in found.groups())
    return Window(int(now_ms) - first, last - int(now_ms))
