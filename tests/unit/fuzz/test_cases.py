"""What fuzzing found once, and that fuzzing can find something at all."""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from labelstream.workers.stream.record_batch.decompression import Inflated
from tests.fuzz import logs, records, values
from tests.fuzz.bounds import SECONDS, TooExpensive, bounded
from tests.fuzz.targets import BYTES

CASES = sorted((Path(__file__).parents[2] / "fuzz" / "cases").glob("*/*"))
SEEDS = [(name, seed) for name, target in BYTES.items() for seed in target.seeds]


@pytest.mark.parametrize(("name", "seed"), SEEDS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(SEEDS)])
def test_what_fuzzing_begins_with(name: str, seed: bytes) -> None:
    BYTES[name].cheaply(seed)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_what_was_found(case: Path) -> None:
    BYTES[case.parent.name].cheaply(case.read_bytes())


def test_a_record_that_is_dropped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def dropping(codec: int, packed: bytes, limit: int) -> Inflated:
        return Inflated(packed[:-1])

    monkeypatch.setattr("labelstream.workers.stream.record_batch.reader.inflate", dropping)
    monkeypatch.setattr("labelstream.workers.stream.record_batch.reader.unread", lambda *_: logs.record(0, b""))
    with pytest.raises(AssertionError):
        logs.batch_body(logs.BODY_SEEDS[1])


@pytest.mark.parametrize("wrong", [b'{"text":"another"}', b'{"text":"good","metadata":{}}'])
def test_a_wrong_text_or_metadata_is_found(monkeypatch: pytest.MonkeyPatch, wrong: bytes) -> None:
    read = values.read_json
    monkeypatch.setattr(values, "read_json", lambda value: read(wrong))
    with pytest.raises((AssertionError, KeyError)):
        values.decode_json(b'{"text":"good"}')


@pytest.mark.parametrize("change", [lambda out: out + b" ", lambda out: out.replace(b"1.50", b"1.5")])
def test_a_changed_byte_of_an_enriched_record_is_found(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]
) -> None:
    way, encode = records.WAYS[0], records.WAYS[0].encode
    monkeypatch.setattr(way, "encode", lambda *given: change(encode(*given)))
    with pytest.raises(AssertionError):
        records.enriched(records.ENRICH_SEEDS[0])


def test_a_wrong_text_of_a_record_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    way, decode = records.WAYS[0], records.WAYS[0].decode
    monkeypatch.setattr(way, "decode", lambda *given: decode(*given).model_copy(update={"text": "another"}))
    with pytest.raises(AssertionError):
        records.enriched(records.ENRICH_SEEDS[0])


def test_an_error_of_another_kind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(value: bytes) -> None:
        raise RecursionError

    monkeypatch.setattr(values, "read_json", failing)
    with pytest.raises(RecursionError):
        values.decode_json(b"{}")


def test_what_costs_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    since = time.process_time() + 0.1
    with pytest.raises(TooExpensive, match="s of CPU"), bounded(10):
        deque(iter(lambda: time.process_time() < SECONDS + since, False), 0)
    monkeypatch.setattr("tests.fuzz.bounds.peak_mib", iter([100.0, 250.0]).__next__)
    with pytest.raises(TooExpensive, match="150 MiB of memory"), bounded(10):
        pass


@pytest.mark.parametrize("name", ["json", "batches"])
def test_a_short_run_finds_nothing_and_tells_its_seed(name: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--seconds", "3", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 7" in done.stdout
    assert "nothing found" in done.stdout
