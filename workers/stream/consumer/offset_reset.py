"""Start offsets of partitions without a committed offset, and messages skipped or repeated. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

StartFrom = Literal["earliest", "latest"]
MAX_NAMED = 8  # partition numbers in one log line


class Log(NamedTuple):
    """One partition's log. `start`: offset of the first record; `end`: offset of the next record."""

    start: int
    end: int

    @property
    def messages(self) -> int:
        """The number of messages, counted by offsets."""
        return self.end - self.start


def starts_at_end(start_from: StartFrom, committed: Iterable[int | None]) -> bool:
    """Do partitions without an offset start at their end? `committed`: the group's offsets in all input topics.

    `latest` applies to a new group only. If the group has an offset in any partition, a topic or partition without one
    was added later or its offset has expired: starting at its end would lose messages.
    """
    return start_from == "latest" and all(offset is None for offset in committed)


def next_offset(log: Log, committed: int | None, at_end: bool) -> int:
    """Return the offset to start at. `committed`: None without an offset; `at_end`: the result of `starts_at_end`."""
    if committed is None:
        return log.end if at_end else log.start
    return max(committed, log.start)


def why_no_offset(log: Log, others: Literal["partitions", "topics"] | None, recreated: bool, young: bool) -> str:
    """Return why the group has no offset here, as a log text. Brokers do not tell that an offset has expired.

    `others`: where else the group has offsets: in other partitions of the topic, or in other input topics only;
    `recreated`: this process saw an offset of the group in the topic, which has none now; `young`: all
    messages are younger than any expired offset.
    """
    if recreated:
        return "the group's offsets in this topic are gone: the topic was recreated"
    if young:
        new = {"partitions": "partitions are new to the group", "topics": "the topic is new to the group"}
        return new.get(others or "", "the group is new")
    if others == "topics":
        return "the group has offsets in other topics: this topic is new, or its offsets have expired"
    if others is None:
        return "the group has no offset in this topic: it is new, or its offsets have expired"
    if log.start == 0:
        return "the group has offsets in other partitions: this one was added, or its offset has expired"
    return (
        "the group has offsets in other partitions, and this one has lost messages to retention: its offset has "
        "expired, or it was added long ago"
    )


def start_effect(logs: Mapping[int, Log], at_end: bool, young: bool) -> str:
    """Return the log text for the messages that a start in these partitions skips or repeats."""
    where = _partitions(sorted(logs))
    messages, lost = sum(log.messages for log in logs.values()), sum(log.start for log in logs.values())
    if at_end:
        return f"starts at the end of {where}, start_from: latest, and skips {_count(messages)}"
    repeat_note = "" if young or not messages else ", which may have been classified before"
    lost_note = f"; {_count(lost)} before them were deleted by retention" if lost else ""
    return f"reads {where} from the start, {_count(messages)}{repeat_note}{lost_note}"


def jump_effect(log: Log, offset: int, at_end: bool) -> str:
    """Return the log text for the messages skipped or repeated if the log does not contain `offset`."""
    effect = f"skips {_count(log.messages)}" if at_end else _reading(log)
    if offset >= log.start:
        return f"the topic was recreated or its log truncated; this {effect}"
    lost = f"{_count(log.start - offset)} were deleted without a result"
    return f"{lost}, and this {effect} more" if at_end else lost


def _reading(log: Log) -> str:
    return f"reads {_count(log.messages)}, repeating any classified before" if log.messages else "reads no message"


def _partitions(numbers: Sequence[int]) -> str:
    if len(numbers) > MAX_NAMED:
        return f"{len(numbers)} partitions"
    return f"partition{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _count(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages} messages"
