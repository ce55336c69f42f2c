"""Maximum memory of a worker (docs/reference/configuration.md) with hostile records on a real broker."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import MakeTopic
from tests.integration.worker_memory import Standing
from tests.kafka import Broker
from tests.support import raw_batches as raw
from tests.support.streams import Topics, read_letters, read_results

MIB = 1 << 20
MESSAGE = MIB - 2_000  # leaves room for a result's metadata
LIMITS = {"max_message_bytes": MIB, "max_batch_bytes": 16 * MIB, "max_in_flight_bytes": 32 * MIB}
MOST = 5 * LIMITS["max_in_flight_bytes"] + 3 * LIMITS["max_batch_bytes"] + 30 * MIB + 32 * MIB
BEYOND_BASE = 8 * MIB  # for a few results in `output`


def filled(before: bytes, unit: bytes, after: bytes) -> bytes:
    return before + b",".join([unit] * ((MESSAGE - len(before) - len(after)) // (len(unit) + 1))) + after


NAMES = b",".join(b'"%d":{}' % number for number in range(90_000))
WIDE = b'{"text":"\xf0\x9f\x98\x80%s"}' % (b"x" * MESSAGE)  # four bytes a character in Python
TREE = filled(b'{"text":"x","metadata":{"a":[', b'{"":0}', b"]}}")
UNKNOWN = b'{"text":"x",%s}' % NAMES
LABELS = filled(b'{"text":"x","candidate_labels":[', b"{}", b"]}")


def batch(*records: bytes) -> bytes:
    return raw.batch(records, codec=4)


def eight(value: bytes) -> bytes:
    return batch(*(raw.record(number, value) for number in range(8)))


FLOOD = batch(*(raw.record(number, b'{"text":"x"}', headers=[(b"", b"")] * 300_000) for number in range(4)))
BOMB = batch(raw.record(0, bytes(200 * MIB)))
BIG = batch(raw.record(0, bytes(15 * MIB)))
GOOD = batch(*(raw.record(number, b'{"text":"good"}') for number in range(100)))


@contextmanager
def frugal(bootstrap: str, topics: Topics, **pipeline: object) -> "Iterator[subprocess.Popen[str]]":
    settings = {
        "kafka": {"bootstrap_servers": bootstrap},
        "models": {"m": {"source": "unused"}},
        "pipelines": {
            "p": {
                "input": topics.input,
                "output": topics.output,
                "dead_letter": topics.dead_letter,
                "model": "m",
                "limits": LIMITS,
                "max_in_flight": 64,
                "breaker": {"max_share": 1},
                **pipeline,
            }
        },
    }
    command = [sys.executable, "-m", "tests.integration.worker_memory", json.dumps(settings)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("delivery", [pytest.param("at_least_once", marks=pytest.mark.long), "exactly_once"])
def test_worker_memory_stays_below_formula(kafka: Broker, make_topic: MakeTopic, delivery: str) -> None:
    """The model answers only when the worker stops polling, so that the byte limit alone stops it, not 64 polls."""
    topics = Topics(make_topic(), make_topic(), make_topic())
    wide, hostile = [eight(WIDE)] * 8, [eight(TREE), eight(UNKNOWN), eight(LABELS), FLOOD, BOMB, BIG, GOOD]
    results, letters = 64 + 8 + 8 + 100, 8 + 4 + 2
    with frugal(kafka.bootstrap, topics, delivery=delivery) as child:
        assert child.stdin is not None
        standings = (Standing(*json.loads(line)) for line in child.stdout or ())
        base = next(standings).peak
        for part in (*wide, *hostile):
            assert raw.send(kafka.bootstrap, topics.input, part) == 0
        before, same = 0, 0
        for found in standings:
            same = same + 1 if found.in_flight == before else 0
            before = found.in_flight
            if before and same == 8:
                break
        assert 20 <= before <= LIMITS["max_in_flight_bytes"] // MESSAGE
        child.stdin.write("\n")
        child.stdin.flush()
        last = next(found for found in standings if found.done == results + letters)
    print(f"{(last.peak - base) / MIB:.0f} MiB of {MOST / MIB:.0f}, longest iteration {last.turn_s:.1f} s")
    assert last.peak - base < MOST + BEYOND_BASE
    assert len(read_results(kafka.bootstrap, topics.output, results)) == results
    reasons = [told["labelstream.reason"] for told, _ in read_letters(kafka.bootstrap, topics.dead_letter, letters)]
    assert sorted(reasons) == ["invalid_message"] * 8 + ["too_large"] * 6
