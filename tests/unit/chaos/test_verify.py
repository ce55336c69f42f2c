"""The verifier says what is wrong, whatever it is, and nothing when all is well."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.faults import KINDS, schedule
from tests.chaos.verify import Expected, Findings, Headers, PartitionOffset, Sample, Seen, split, verify


def world(count: int = 60) -> tuple[dict[PartitionOffset, Expected], list[Seen]]:
    """Two input partitions, three keys, every tenth a dead letter, all delivered once and in order."""
    inputs: dict[PartitionOffset, Expected] = {}
    seen: list[Seen] = []
    ends: Counter[tuple[str, int]] = Counter()
    for number in range(count):
        place, key = (number % 2, number // 2), b"key-%d" % (number % 3)
        label = None if number % 10 == 9 else "GOOD"
        where = ("out", number % 3) if label else ("dead", 0)
        rest: tuple[bytes, Headers, int] = b"{%d}" % number, (("n", b"%d" % number),), number
        inputs[place] = Expected(where[0], key, label, 0.5 if label else 0.0, *rest)
        seen.append(Seen(*where, ends[where], place, key, label, 0.5 if label else 0.0, *rest))
        ends[where] += 1
    return inputs, seen


def test_all_is_well() -> None:
    inputs, seen = world()
    sample = Sample({0: 30, 1: 30}, {("out", 0): 99, ("out", 1): 99, ("out", 2): 99, ("dead", 0): 99})
    assert not any(verify(inputs, seen, [sample]).summary().values())


def _lost(seen: list[Seen], at: int) -> list[Seen]:
    return seen[:at] + seen[at + 1 :]


def _doubled(seen: list[Seen], at: int) -> list[Seen]:
    return [*seen, seen[at]]


def _other(**field: object) -> Callable[[list[Seen], int], list[Seen]]:
    return lambda seen, at: [*seen[:at], seen[at]._replace(**field), *seen[at + 1 :]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_lost, "lost"),
        (_doubled, "duplicated"),
        (_other(label="BAD"), "wrong"),
        (_other(score=0.9), "wrong"),
        (_other(key=b"another"), "wrong"),
        (_other(topic="routed"), "wrong"),
        (_other(rest=b"{ 1}"), "wrong"),
        (_other(headers=()), "wrong"),
        (_other(timestamp_ms=99), "wrong"),
    ],
)
@settings(max_examples=30)
@given(at=st.integers(0, 59))
def test_each_fault_is_named(spoil: Callable[[list[Seen], int], list[Seen]], named: str, at: int) -> None:
    inputs, seen = world()
    found = verify(inputs, spoil(seen, at), [])
    assert {name for name, count in found.summary().items() if count} == {named}
    places = getattr(found, named)
    assert list(places) == [seen[at].source]


def test_verify_names_misorder_within_key_only() -> None:
    inputs, seen = world()
    later = [i for i, record in enumerate(seen) if record.source[0] == 0 and record.key == seen[0].key and record.label]
    swapped = list(seen)
    swapped[later[0]], swapped[later[1]] = swapped[later[1]], swapped[later[0]]
    assert verify(inputs, swapped, []).misordered == [seen[later[0]].source]
    swapped = list(seen)
    swapped[0], swapped[1] = swapped[1], swapped[0]  # of two partitions
    assert verify(inputs, swapped, []).misordered == []


def test_a_replay_is_duplicated_but_not_misordered() -> None:
    inputs, seen = world()
    found = verify(inputs, [*seen[:20], *seen[10:]], [])
    assert found.misordered == []
    assert found.summary()["duplicated"] == 10


def test_a_result_of_nothing_is_named() -> None:
    inputs, seen = world()
    assert verify(inputs, [*seen, seen[0]._replace(source=(7, 7))], []).unknown == [(7, 7)]


def test_an_offset_before_its_result_is_named() -> None:
    inputs, seen = world()
    ends = {("out", 0): 99, ("out", 1): 99, ("out", 2): 99, ("dead", 0): 99}
    record = seen[4]  # of input partition 0, offset 2
    early = Sample({0: 3}, {**ends, (record.topic, record.partition): record.offset})
    on_time = Sample({0: 3}, {**ends, (record.topic, record.partition): record.offset + 1})
    assert record.source in verify(inputs, seen, [early]).early
    assert verify(inputs, seen, [on_time]).early == []
    elsewhere = record._replace(partition=(record.partition + 1) % 3, offset=98)
    for both in ([*seen, elsewhere], [elsewhere, *seen]):  # one copy in the log is enough, whichever is read first
        assert record.source not in verify(inputs, both, [early]).early


def test_a_dropped_input_is_wrong_if_it_comes_out() -> None:
    inputs, seen = world()
    place = seen[4].source
    inputs[place] = inputs[place]._replace(topic=None)
    assert verify(inputs, seen, []).wrong == [place]
    assert not any(verify(inputs, _lost(seen, 4), []).summary().values())


@pytest.mark.parametrize(
    ("before", "after"), [(b'{"a":1.50,"s":', b"\r\n} "), (b'\xef\xbb\xbf{"s" :', b',"b":"\xff"}'), (b"", b"")]
)
def test_split_leaves_the_bytes_around_the_enrichment(before: bytes, after: bytes) -> None:
    part = b'{"schema_version":1,"event_id":"p/i/0/1","scores":[{"label":"}","score":0.5}]}'
    found, rest = split(before + part + after)
    assert rest == before + after
    assert found is not None
    assert found["scores"] == [{"label": "}", "score": 0.5}]
    assert split(before + after) == (None, before + after)


@settings(max_examples=30)
@given(seed=st.integers(), count=st.integers(1, 90))
def test_a_schedule_is_its_seeds_alone_and_holds_every_kind(seed: int, count: int) -> None:
    plan = schedule(seed, count, "exactly_once")
    assert plan == schedule(seed, count, "exactly_once")
    assert len(plan) == count
    assert count < len(KINDS) or set(plan) == set(KINDS)
    assert "killed after send_offsets" not in schedule(seed, count, "at_least_once")


def test_findings_count() -> None:
    found = Findings([(0, 0)], Counter({(0, 1): 2}), [], [], [], [])
    assert found.summary() == {"lost": 1, "duplicated": 2, "misordered": 0, "wrong": 0, "unknown": 0, "early": 0}
