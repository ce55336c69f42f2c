"""The judge finds each thing that can be wrong, and the load's messages are what they claim."""

import json
import random

import pytest
from kafka.record import MemoryRecords

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.config_file import load_settings
from tests.hostile.bound import worker_mib
from tests.hostile.judge import Seen, judge, latencies, outcomes, share_of
from tests.hostile.kinds import KINDS, Expected, Good, Plain, Raw, dead, kills
from tests.support.raw_batches import bomb

GOOD = Good(b'{"text":"good"}', "POSITIVE", 0.75)
INPUTS = {(0, 0): GOOD.sent(), (0, 1): dead("garbage", "invalid_json"), (1, 0): GOOD.sent()}
RIGHT = [
    Seen((0, 0), label="POSITIVE", score=0.7501),
    Seen((0, 1), reason="invalid_json"),
    Seen((1, 0), label="POSITIVE", score=0.75),
]


def test_a_right_run_has_nothing_to_tell() -> None:
    findings = judge(INPUTS, RIGHT)
    assert findings.nothing()
    assert outcomes(INPUTS, RIGHT) == {"garbage": {"invalid_json": 1}, "good": {"answered": 2}}


@pytest.mark.parametrize(
    ("seen", "name", "what"),
    [
        (RIGHT[:2], "lost", {"good": 1}),
        ([*RIGHT, RIGHT[2]], "twice", {"good": 1}),
        ([*RIGHT[:2], Seen((1, 0), label="NEGATIVE", score=0.75)], "wrong", {"good": 1}),
        ([*RIGHT[:2], Seen((1, 0), label="POSITIVE", score=0.5)], "wrong", {"good": 1}),
        ([*RIGHT[:2], Seen((1, 0), reason="crashes_model")], "others", {"good: crashes_model": 1}),
        ([RIGHT[0], RIGHT[2], Seen((0, 1), reason="too_large")], "unexpected", {"garbage: too_large": 1}),
        ([RIGHT[0], RIGHT[2], Seen((0, 1), label="POSITIVE")], "unexpected", {"garbage: answered": 1}),
    ],
)
def test_what_is_wrong_is_found(seen: list[Seen], name: str, what: dict[str, int]) -> None:
    findings = judge(INPUTS, seen)
    assert not findings.nothing()
    assert {
        field: dict(found) for field, found in findings._asdict().items() if not isinstance(found, int) and found
    } == {name: what}


def test_an_answer_to_nobody_is_found() -> None:
    findings = judge(INPUTS, [*RIGHT, Seen((7, 7), reason="invalid_json")])
    assert findings.unknown == 1
    assert not findings.nothing()


def test_latency_counts_good_messages_of_its_time_alone() -> None:
    produced = {(0, 0): 10.0, (0, 1): 10.0, (1, 0): 20.0}
    assert latencies(INPUTS, RIGHT, [10.5, 11, 22], produced, 0, 15) == [0.5]
    assert latencies(INPUTS, [*RIGHT, RIGHT[0]], [10.5, 11, 22, 99], produced, 0, 30) == [0.5, 2]
    assert share_of([0.5, 2], 0.99) == 2
    assert share_of([], 0.5) is None


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "bomb"])
def test_each_kind_is_sent_as_it_is_judged(kind: str) -> None:
    for sent in [*KINDS[kind][1](random.Random(1), [GOOD]), kills(random.Random(1))]:
        if isinstance(sent, Plain):
            check(sent.expected)
            assert sent.value is None or len(sent.value) < 1 << 20
        else:
            assert isinstance(sent, Raw)
            assert len(sent.data) < 1 << 20
            first = MemoryRecords(sent.data).next_batch()
            assert first is not None
            assert first.records_count == len(sent.expected)
            list(map(check, sent.expected))


def check(expected: Expected) -> None:
    assert expected.answered or expected.reasons
    assert expected.reasons <= {reason.value for reason in Reason}


def test_a_bomb_is_small_and_three_records() -> None:
    first = MemoryRecords(bomb(20, GOOD.value)).next_batch()
    assert first is not None
    assert first.size_in_bytes < 5_000
    assert [json.loads(record.value) if record.offset != 1 else len(record.value) for record in first] == [
        {"text": "good"},
        20 << 20,
        {"text": "good"},
    ]


def test_the_bound_follows_the_settings() -> None:
    tree = {
        "kafka": {"bootstrap_servers": "unused:9092"},
        "models": {"m": {"source": "unused"}},
        "pipelines": {"p": {"input": "i", "output": "o", "dead_letter": "d", "model": "m"}},
    }
    bound = worker_mib(load_settings(tree))
    tree["pipelines"]["p"]["limits"] = {"max_batch_bytes": 128 << 20}
    assert worker_mib(load_settings(tree)) > bound
