"""Results and dead letters as records, and records that are too large."""

import json
from collections.abc import Callable

import pytest

from labelstream.workers.classifier import Prediction, Request
from labelstream.workers.stream.broker.topics import TopicLimits
from tests.support.fakes import FakeClassifier
from tests.support.pipeline_bench import A, Bench, message, record


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


def test_cloudevents_and_partitions(benches: Callable[..., Bench]) -> None:
    bench = benches(headers="cloudevents", output_partition="same")
    bench.source.waiting.append([record(3, message("a"), None, [("ce_id", b"theirs"), ("own", b"1")])])
    bench.run_dry()
    _, _, key, headers, partition = bench.producer.sent[0]
    assert (key, partition) == (None, 0)
    assert dict(headers)["ce_id"] == b"p/in/0/3"
    assert dict(headers)["own"] == b"1"
    assert len(headers) == len(dict(headers))


def abstain(request: Request) -> Prediction:
    """Of every text but "sure"."""
    accepted = None if request.text == "sure" else ()
    return Prediction(("POSITIVE",), (0.4,), 3, False, "r", accepted=accepted)


@pytest.mark.parametrize("one_by_one", [0, 1])
def test_abstained_results_go_to_review_as_well(benches: Callable[..., Bench], one_by_one: int) -> None:
    bench = benches(classifier=FakeClassifier(abstain), review="review", one_by_one=one_by_one)
    bench.feed(message("sure"), message("unsure"))
    bench.run_dry()
    sent = [(topic, json.loads(value)["source"]["offset"]) for topic, value, *_ in bench.producer.sent]
    assert sorted(sent) == [("out", 0), ("out", 1), ("review", 1)]
    snapshot = bench.stats.snapshot()
    assert (snapshot["results_out"], snapshot["abstained"], snapshot["dead_letters"]) == (2, 1, {})
    assert bench.source.commits[-1] == {A: 2}


def test_result_that_review_refuses_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(classifier=FakeClassifier(abstain), review="review", one_by_one=1)
    bench.producer.too_large = lambda topic, value: topic == "review"
    bench.feed(message("sure"), message("unsure"))
    bench.run_dry()
    assert [result["source"]["offset"] for result in bench.producer.taken()] == [0]
    (letter,) = bench.producer.letters()
    assert letter["labelstream.reason"] == "result_too_large"
    assert bench.stats.snapshot()["results_out"] == 1
    assert bench.source.commits[-1] == {A: 2}
