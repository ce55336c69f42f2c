"""Results and dead letters as records, and records that are too large."""

import json
from collections.abc import Callable

import pytest

from labelstream.workers.stream.broker.topics import TopicLimits
from tests.support.pipeline_bench import A, Bench, message


def test_a_result_too_large_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(limits=TopicLimits(output=1_000, dead_letter=10_000))
    bench.feed(message("a"), message("b", metadata={"m": "x" * 2_000}))
    bench.run_dry()
    assert [r["source"]["offset"] for r in bench.producer.results()] == [0]
    (letter,) = bench.producer.letters()
    assert letter["labelstream.reason"] == "result_too_large"
    assert json.loads(letter["value"])["text"] == "b"
    assert bench.source.commits[-1] == {A: 2}


def test_refused_record_is_resent_one_by_one_with_neighbours(
    benches: Callable[..., Bench],
) -> None:
    bench = benches()
    bench.producer.too_large = lambda topic, value: len(value) > 1_000
    bench.feed(message("a"), message("b", metadata={"m": "x" * 2_000}), message("c"))
    bench.run_dry()
    assert [r["source"]["offset"] for r in bench.producer.taken()] == [0, 2]
    assert bench.source.commits[-1] == {A: 3}
    assert bench.stats.snapshot()["dead_letters"] == {"result_too_large": 1}


def test_record_by_record_only_the_one_at_fault_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(one_by_one=1)
    bench.producer.too_large = lambda topic, value: len(value) > 1_000
    bench.feed(message("a"), message("b", metadata={"m": "x" * 2_000}), message("c"))
    bench.run_dry()
    letters = bench.producer.letters()  # the whole one was too large as well
    assert [letter["labelstream.reason"] for letter in letters] == ["result_too_large"] * 2
    assert letters[1]["value"] == ""
    assert letters[1]["labelstream.value_omitted"].startswith("bytes=20")
    assert bench.source.commits[-1] == {A: 3}
    assert bench.stats.snapshot()["dead_letters"] == {"result_too_large": 1}
    assert bench.stats.snapshot()["results_out"] == 2


def test_a_dead_letter_that_does_not_fit_says_so(benches: Callable[..., Bench]) -> None:
    bench = benches(limits=TopicLimits(output=10_000, dead_letter=2_000))
    bench.feed(b"{" + b"x" * 5_000)
    bench.run_dry()
    (letter,) = bench.producer.letters()
    assert letter["labelstream.value_omitted"].startswith("bytes=5001;sha256=")
    assert letter["value"] == ""
    assert letter["labelstream.reason"] == "invalid_json"


def test_dead_letters_are_logged_once_for_each_reason(
    benches: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    bench = benches()
    with caplog.at_level("INFO"):
        for first in range(0, 9, 3):
            bench.feed(b"no JSON", b"{}", b"no JSON", first=first)
            bench.run_dry()
        assert [line.getMessage() for line in caplog.records if "dead letter" in line.getMessage()] == [
            "pipeline p: 1 dead letter (invalid_json), first in:0:0",
            "pipeline p: 1 dead letter (invalid_message), first in:0:1",
        ]
        bench.sink.close(1)
    assert [line.getMessage() for line in caplog.records if "dead letter" in line.getMessage()][2:] == [
        "pipeline p: 5 dead letters (invalid_json), first in:0:2",
        "pipeline p: 2 dead letters (invalid_message), first in:0:4",
    ]
