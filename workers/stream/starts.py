"""Where reading begins in a partition that the group has no offset in, and how much waits there. Pure."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

StartFrom = Literal["earliest", "latest"]


class Log(NamedTuple):
    """One partition's log. `start`: the first offset that is there; `end`: the offset of the next record."""

    start: int
    end: int

    @property
    def messages(self) -> int:
        """How many there are, counted by their offsets."""
        return self.end - self.start


def starts_at_end(start_from: StartFrom, committed: Iterable[int | None]) -> bool:
    """Do partitions without an offset start at their end? `committed`: the group's offsets in the whole topic.

    `latest` is for a new group alone. In a group with an offset anywhere in the topic, a partition without one was
    added later, or its offset has expired: at its end, messages would be lost.
    """
    return start_from == "latest" and all(offset is None for offset in committed)


def next_offset(log: Log, committed: int | None, at_end: bool) -> int:
    """Where reading goes on. `committed` None: the group has no offset; `at_end`: as `starts_at_end` says."""
    if committed is None:
        return log.end if at_end else log.start
    return max(committed, log.start)


def lag_of(log: Log, committed: int | None, at_end: bool) -> int:
    """Messages that are there and not done, counted by their offsets. The arguments are those of `next_offset`."""
    return max(0, log.end - next_offset(log, committed, at_end))
