"""Where reading begins in a partition that the group has no offset in, and how much waits there. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

StartFrom = Literal["earliest", "latest"]
MAX_NAMED = 8  # partitions in a line


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


def why_no_offset(log: Log, others: bool, seen: bool, young: bool) -> str:
    """Why has the group no offset here, as far as Kafka tells? A broker forgets a group's offsets without a trace.

    `others`: it has some in other partitions of the topic; `seen`: this process has seen it have some; `young`: no
    message there is old enough for an offset behind it to have expired.
    """
    if not others and seen:
        return "the group had offsets in this topic, and has none any more: the topic was made anew"
    if young:
        return "partitions are new to the group" if others else "the group is new"
    if not others:
        return "the group has no offset in this topic: it is new, or its offsets have expired"
    if log.start == 0:
        return "the group has offsets in other partitions: this was added, or its offset has expired"
    return (
        "the group has offsets in other partitions, and this has lost messages to retention: its offset has expired, "
        "or it was added long ago"
    )


def start_effect(logs: Mapping[int, Log], at_end: bool, young: bool) -> str:
    """What a start in these partitions of a topic skips or repeats."""
    where = _partitions(sorted(logs))
    messages, lost = sum(log.messages for log in logs.values()), sum(log.start for log in logs.values())
    if at_end:
        return f"starts at the end of {where}, start_from: latest, and skips {_count(messages)}"
    again = "" if young or not messages else ", which may have been classified before"
    gone = f"; {_count(lost)} before that are lost to retention" if lost else ""
    return f"reads {where} from the start, {_count(messages)}{again}{gone}"


def jump_effect(log: Log, offset: int, at_end: bool) -> str:
    """What it skips or repeats to go on in a log that has no `offset`."""
    what = f"skips {_count(log.messages)}" if at_end else _reading(log)
    if offset >= log.start:
        return f"the log is another one or was cut; this {what}"
    lost = f"the log has lost {_count(log.start - offset)} without a result"
    return f"{lost}, and this {what} more" if at_end else lost


def _reading(log: Log) -> str:
    return f"reads {_count(log.messages)}, once more what was classified before" if log.messages else "reads no message"


def _partitions(numbers: Sequence[int]) -> str:
    if len(numbers) > MAX_NAMED:
        return f"{len(numbers)} partitions"
    return f"partition{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _count(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages} messages"
