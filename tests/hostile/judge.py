"""Compare inputs with their outcomes. Pure functions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.hostile.kinds import Expected

PartitionOffset = tuple[int, int]
TOLERANCE = 1e-3


class Seen(NamedTuple):
    """One committed record: a dead letter with `reason`, or a result, and the input that it names."""

    place: PartitionOffset
    reason: str = ""
    label: str = ""
    score: float = 0.0


class Findings(NamedTuple):
    """Counts by the kind of input, or by "KIND: OUTCOME". `unknown`: outcomes of inputs that were never sent.

    `others`: dead letters of good messages. `unexpected`: an outcome that does not fit the kind of the input.
    """

    lost: Counter[str]
    twice: Counter[str]
    wrong: Counter[str]
    others: Counter[str]
    unexpected: Counter[str]
    unknown: int

    def nothing(self) -> bool:
        """Are there no findings?"""
        return not any((*self[:5], self.unknown))


def judge(inputs: Mapping[PartitionOffset, Expected], seen: Sequence[Seen]) -> Findings:
    """Every input must have one outcome that fits its kind."""
    copies = Counter(record.place for record in seen)
    found = Findings(*(Counter() for _ in range(5)), unknown=sum(place not in inputs for place in copies))
    for place, expected in inputs.items():
        if not copies[place]:
            found.lost[expected.kind] += 1
        elif copies[place] > 1:
            found.twice[expected.kind] += copies[place] - 1
    for record in seen:
        if record.place in inputs:
            _judge_one(inputs[record.place], record, found)
    return found


def _judge_one(expected: Expected, record: Seen, found: Findings) -> None:
    if record.reason:
        if record.reason not in expected.reasons:
            into = found.others if _innocent(expected) else found.unexpected
            into[f"{expected.kind}: {record.reason}"] += 1
    elif not expected.answered:
        found.unexpected[f"{expected.kind}: answered"] += 1
    elif expected.label and (record.label != expected.label or abs(record.score - expected.score) > TOLERANCE):
        found.wrong[expected.kind] += 1


def _innocent(expected: Expected) -> bool:
    return expected.answered and not expected.reasons


def outcomes(inputs: Mapping[PartitionOffset, Expected], seen: Sequence[Seen]) -> dict[str, dict[str, int]]:
    """Number of inputs by kind and reason, or result; for people."""
    counts: dict[str, Counter[str]] = {}
    for record in seen:
        if record.place in inputs:
            counts.setdefault(inputs[record.place].kind, Counter())[record.reason or "answered"] += 1
    return {kind: dict(found) for kind, found in sorted(counts.items())}


def latencies(
    inputs: Mapping[PartitionOffset, Expected],
    seen: Sequence[Seen],
    read_at: Sequence[float],
    produced_at: Mapping[PartitionOffset, float],
    since: float,
    until: float,
) -> list[float]:
    """Sorted seconds from acknowledgement to result, of good messages produced between `since` and `until`."""
    first: dict[PartitionOffset, float] = {}
    for record, at in zip(seen, read_at, strict=False):
        first.setdefault(record.place, at)
    return sorted(
        first[place] - at
        for place, at in produced_at.items()
        if since <= at < until and place in first and inputs[place].kind == "good"
    )


def share_of(sorted_values: Sequence[float], share: float) -> float | None:
    """The quantile `share` of the values; None without values."""
    if not sorted_values:
        return None
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
