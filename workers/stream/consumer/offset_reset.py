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


def is_harmless(log: Log) -> bool:
    """Was there never a message? Then no start skips or repeats one."""
    return log.end == 0


def why_no_offset(log: Log, others: bool, seen: bool) -> str:
    """Why has the group no offset here, as far as Kafka tells? A broker forgets a group's offsets without a trace.

    `others`: it has some in other partitions of the topic; `seen`: this process has seen it have some.
    """
    if others and log.start == 0:
        return "the group has offsets in other partitions: this one was added, or its offset has expired"
    if others:
        return (
            "the group has offsets in other partitions, and this one has lost messages to retention: its offset "
            "has expired, or it was added long ago"
        )
    if seen:
        return "the group had offsets in this topic, and has none any more: the topic was made anew"
    return "the group has no offset in this topic: it is new, or its offsets have expired"


def start_effect(log: Log, at_end: bool) -> str:
    """What a start there skips or repeats."""
    if at_end:
        return f"start_from: latest skips {_count(log.messages)}"
    gone = f"; the log has lost {_count(log.start)} before that" if log.start else ""
    return f"{_reading(log)}{gone}"


def jump_effect(log: Log, offset: int, at_end: bool) -> str:
    """What it skips or repeats to go on in a log that has no `offset`."""
    what = f"skips {_count(log.messages)}" if at_end else _reading(log)
    if offset >= log.start:
        return f"the log is another one or was cut; this {what}"
    lost = f"the log has lost {_count(log.start - offset)} without a result"
    return f"{lost}, and this {what} more" if at_end else lost


def _reading(log: Log) -> str:
    return f"reads {_count(log.messages)}, once more what was classified before" if log.messages else "reads no message"


def _count(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages} messages"
