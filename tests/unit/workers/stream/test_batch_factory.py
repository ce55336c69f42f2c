"""What becomes of a poll's records before any model answers."""

from collections.abc import Callable
from typing import Any

import pytest

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.record_batch.limits import MAX_KEY_BYTES
from labelstream.workers.stream.record_batch.unread import HeadersLeftOut
from tests.support.pipeline_bench import A, Bench, message, record, run_dry


def test_condemned_record_is_dead_lettered_undecoded(bench: Bench) -> None:
    progress = bench.source.assignment.get(A)
    assert progress is not None
    progress.condemned = Rejection(Reason.CRASHES_WORKER, Stage.CLASSIFY, "WorkerDeath", "3 workers died", 5)
    bench.feed(b"\xff not even JSON")
    run_dry(bench)
    [letter] = bench.producer.letters()
    assert letter["labelstream.reason"] == "crashes_worker"
    assert letter["labelstream.attempts"] == "5"
    assert letter["value"] == b"\xff not even JSON".decode("latin-1")
    assert bench.classifier.calls == []


@pytest.mark.parametrize(("skip", "letters"), [("skip", []), ("dead_letter", ["empty_text"])])
def test_a_text_that_is_null_is_an_empty_one(benches: Callable[..., Bench], skip: str, letters: list[str]) -> None:
    bench = benches(on_empty_text=skip, text_field="payload.after.review")
    bench.feed(b'{"payload":{"before":{"review":"x"},"after":null,"op":"d"}}')
    bench.run_dry()
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == letters
    assert bench.source.commits[-1] == {A: 1}


def test_skipping_is_a_setting(benches: Callable[..., Bench]) -> None:
    bench = benches(on_empty_text="skip", on_tombstone="dead_letter")
    bench.feed(message(" "), None)
    bench.run_dry()
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == ["tombstone"]
    assert bench.source.commits[-1] == {A: 2}


def test_record_whose_headers_were_not_read_is_not_passed_on(benches: Callable[..., Bench]) -> None:
    bench = benches(on_tombstone="pass")
    bench.source.waiting.append([record(0, None)._replace(headers=HeadersLeftOut(300_000, 600_000)), record(1, None)])
    bench.run_dry()
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == ["too_large"]
    assert [topic for topic, *_ in bench.producer.sent] == ["dlq", "out"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"key": b"k" * (MAX_KEY_BYTES + 1)}, "the key has 262145 bytes; the limit is 262144"),
        (
            {"headers": HeadersLeftOut(300_000, 600_000)},
            "300000 headers in 600000 bytes; the limit is 1000 in 262144 bytes",
        ),
    ],
)
def test_oversized_key_or_headers_are_dead_lettered(
    benches: Callable[..., Bench], more: dict[str, Any], problem: str
) -> None:
    bench = benches()
    bench.source.waiting.append([record(0, message("a"))._replace(**more), record(1, message("b"))])
    bench.source.waiting.append([record(2, None)._replace(**more)])  # skipped like any other without a value
    bench.run_dry()
    (letter,) = bench.producer.letters()
    assert (letter["labelstream.reason"], letter["__connect.errors.exception.message"]) == ("too_large", problem)
    assert letter["value"] == message("a").decode()
    assert letter.get("labelstream.headers_omitted") == ("count=300000;bytes=600000" if "headers" in more else None)
    assert [result["source"]["offset"] for result in bench.producer.results()] == [1]


@pytest.mark.parametrize("otherwise", ["skip", "pass"])
def test_record_that_meets_no_condition_is_not_judged(benches: Callable[..., Bench], otherwise: str) -> None:
    only_if = [{"header": "kind", "equals": "new"}, {"field": "level", "equals": "error"}]
    bench = benches(only_if=only_if, otherwise=otherwise, output_shape="enrich", text_field="m")
    new, good = [("kind", b"new")], b'{"m":"a","level":"error"}'
    records = [
        record(0, b"no JSON", headers=[("kind", b"old")]),
        record(1, good, headers=new),
        record(2, b'{"m":5,"level":"info"}', headers=new),
        record(3, b"no JSON", headers=new),
        record(4, None),
        record(5, good)._replace(headers=HeadersLeftOut(300_000, 600_000)),
    ]
    bench.source.waiting.append(records)
    bench.run_dry()
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == ["invalid_json", "too_large"]
    out = [value for topic, value, *_ in bench.producer.sent if topic == "out"]
    passed = [records[0].value, records[2].value, records[4].value] if otherwise == "pass" else []
    assert [value for value in out if value is None or not value.startswith(good[:-1])] == passed
    assert len(out) == len(passed) + 1
    snapshot = bench.stats.snapshot()
    assert (snapshot["skipped"], snapshot.get("skipped_by_reason")) == (3, {"only_if": 3})
    assert bench.classifier.calls == [1]
    assert bench.source.commits[-1] == {A: 6}
