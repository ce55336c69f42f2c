"""A result carries what came in, byte for byte."""

from collections.abc import Callable

from tests.support.pipeline_bench import A, Bench, message, record


def test_results_carry_what_came_in(benches: Callable[..., Bench]) -> None:
    bench = benches()
    value = message("ab", id="x", metadata={"a": [1]})
    bench.source.waiting.append([record(7, value, b"key", [("h", b"v"), ("n", None)])])
    bench.run_dry()
    topic, _, key, headers, partition = bench.producer.sent[0]
    assert (topic, key, headers, partition) == ("out", b"key", [("h", b"v"), ("n", b"")], None)
    (result,) = bench.producer.results()
    assert result["event_id"] == "p/in/0/7"
    assert (result["id"], result["metadata"], result["label"], result["score"]) == ("x", {"a": [1]}, "POSITIVE", 0.75)
    assert [entry["label"] for entry in result["scores"]] == ["POSITIVE", "NEGATIVE"]
    assert result["source"]["offset"] == 7
    assert bench.source.commits[-1] == {A: 8}


def test_what_came_as_metadata_goes_out_digit_for_digit(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.feed(b'\xef\xbb\xbf{"text":"ab","id":12345678901234567890,"x":NaN,"metadata":{"n":[1.0,1E5, 1.10]}}')
    bench.run_dry()
    ((_, value, *_),) = bench.producer.sent
    assert b'"id":12345678901234567890,' in value
    assert b'"metadata":{"n":[1.0,1E5, 1.10]},' in value
