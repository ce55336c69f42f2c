"""Compare inputs with outputs. Pure functions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

PartitionOffset = tuple[int, int]  # (partition, offset) of an input


class Expected(NamedTuple):
    """Expected outcome of one input: a result with `label` and `score`, or a dead letter if `label` is None."""

    key: bytes | None
    label: str | None
    score: float = 0.0


class Seen(NamedTuple):
    """One committed record of the output or dead-letter topic (`label` None), and the input that it names."""

    topic: str
    partition: int
    offset: int
    source: PartitionOffset
    key: bytes | None
    label: str | None
    score: float = 0.0


class Sample(NamedTuple):
    """The group's committed offsets, and the ends of output and dead-letter partitions, read afterwards."""

    committed: Mapping[int, int]
    ends: Mapping[tuple[str, int], int]


class Findings(NamedTuple):
    """Inputs with findings. `early`: an offset was committed before the result was in the log."""

    lost: list[PartitionOffset]
    duplicated: Counter[PartitionOffset]
    misordered: list[PartitionOffset]
    wrong: list[PartitionOffset]
    unknown: list[PartitionOffset]
    early: list[PartitionOffset]

    def summary(self) -> dict[str, int]:
        """Number of inputs by finding."""
        return {
            name: sum(found.values()) if isinstance(found, Counter) else len(found)
            for name, found in self._asdict().items()
        }


def verify(
    inputs: Mapping[PartitionOffset, Expected],
    seen: Sequence[Seen],
    samples: Iterable[Sample],
    tolerance: float = 1e-3,
) -> Findings:
    """`seen`: records of each partition in offset order. `duplicated` counts the extra copies."""
    copies = Counter(record.source for record in seen)
    return Findings(
        lost=sorted(place for place in inputs if not copies[place]),
        duplicated=Counter({place: count - 1 for place, count in copies.items() if count > 1}),
        misordered=_misordered(seen),
        wrong=sorted(
            {
                record.source
                for record in seen
                if record.source in inputs and not _right(inputs[record.source], record, tolerance)
            }
        ),
        unknown=sorted(place for place in copies if place not in inputs),
        early=_early(seen, samples),
    )


def _right(expected: Expected, record: Seen, tolerance: float) -> bool:
    return (expected.label, expected.key) == (record.label, record.key) and (
        abs(expected.score - record.score) <= tolerance
    )


def _misordered(seen: Sequence[Seen]) -> list[PartitionOffset]:
    """In each topic, the first copies of an input partition and key must be in offset order."""
    last: dict[tuple[str, int, bytes], int] = defaultdict(lambda: -1)
    known: set[PartitionOffset] = set()
    wrong: list[PartitionOffset] = []
    for record in seen:
        if record.key is None or record.source in known:  # records without a key go to any partition
            continue
        known.add(record.source)
        partition, offset = record.source
        group = record.topic, partition, record.key
        if offset < last[group]:
            wrong.append(record.source)
        last[group] = max(last[group], offset)
    return wrong


def _early(seen: Sequence[Seen], samples: Iterable[Sample]) -> list[PartitionOffset]:
    copies: dict[PartitionOffset, list[Seen]] = defaultdict(list)  # without a key, in several partitions
    for record in seen:
        copies[record.source].append(record)
    by_partition: dict[int, list[PartitionOffset]] = defaultdict(list)
    for place in sorted(copies):
        by_partition[place[0]].append(place)
    checked: Counter[int] = Counter()  # records known to be in the log; records never leave the log
    early: set[PartitionOffset] = set()
    for sample in samples:
        for partition, committed in sample.committed.items():
            places = by_partition[partition]
            while checked[partition] < len(places) and places[checked[partition]][1] < committed:
                place = places[checked[partition]]
                if all(copy.offset >= sample.ends[copy.topic, copy.partition] for copy in copies[place]):
                    early.add(place)
                checked[partition] += 1
    return sorted(early)
