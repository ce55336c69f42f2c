"""Compare inputs with outputs. Pure functions, independent of the product's code."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

PartitionOffset = tuple[int, int]  # (partition, offset) of an input
Headers = tuple[tuple[str, bytes | None], ...]
ENRICHMENT = b'{"schema_version":1,"event_id":'  # how the object begins that the pipeline adds to a record


class Expected(NamedTuple):
    """Expected outcome of one input: a record of `topic`, or none if `topic` is None.

    `label`: None for a record without an answer. `rest`: bytes of the value without the answer. `timestamp_ms`: None if
    the pipeline chooses it.
    """

    topic: str | None
    key: bytes | None
    label: str | None
    score: float = 0.0
    rest: bytes | None = b""
    headers: Headers = ()
    timestamp_ms: int | None = None


class Seen(NamedTuple):
    """One committed record of an output or dead-letter topic, and the input that it names. As in `Expected`."""

    topic: str
    partition: int
    offset: int
    source: PartitionOffset
    key: bytes | None
    label: str | None
    score: float = 0.0
    rest: bytes | None = b""
    headers: Headers = ()
    timestamp_ms: int | None = None


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


def split(value: bytes) -> tuple[dict[str, Any] | None, bytes]:
    """The enrichment in a record's value, and the bytes around the enrichment. None if there is no enrichment."""
    start = value.rfind(ENRICHMENT)
    if start < 0:
        return None, value
    text = value[start:].decode("latin-1")  # one character a byte: the value may hold invalid UTF-8
    found, length = json.JSONDecoder().raw_decode(text)
    return found, value[:start] + value[start + length :]


def verify(
    inputs: Mapping[PartitionOffset, Expected],
    seen: Sequence[Seen],
    samples: Iterable[Sample],
    tolerance: float = 1e-3,
) -> Findings:
    """`seen`: records of each partition in offset order. `duplicated` counts the extra copies."""
    copies = Counter(record.source for record in seen)
    return Findings(
        lost=sorted(place for place, one in inputs.items() if one.topic is not None and not copies[place]),
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
    found = Expected(
        record.topic, record.key, record.label, expected.score, record.rest, record.headers, record.timestamp_ms
    )
    return expected == found and abs(expected.score - record.score) <= tolerance


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
