"""A micro-batch: what its records become, its calls and their retries, its halves."""

import gc
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
from kafka.structs import TopicPartition

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.micro_batch import Item, MicroBatch
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


def test_a_micro_batch_in_two_is_as_far_as_the_whole() -> None:
    first, second = (PartitionProgress(TopicPartition("in", number)) for number in (0, 1))
    items = [Item(record(offset, b"{}"), first) for offset in (5, 6)]
    items += [Item(record(offset, b"{}")._replace(partition=1), second) for offset in (8, 9)]
    batch = MicroBatch(items, [], [(first, 6), (second, 9)], Counter({0: 2, 1: 2}), 1.0)
    batch.passed_breaker = True
    head, rest = batch.split(3)
    assert (head.last_offsets, rest.last_offsets) == ([(first, 6), (second, 8)], [(second, 9)])
    assert (head.records_by_partition, rest.records_by_partition) == (Counter({0: 2, 1: 1}), Counter({1: 1}))
    assert [*head.items, *rest.items] == items
    assert head.passed_breaker
    assert rest.passed_breaker
    assert rest.received_at == batch.received_at


def test_what_was_taken_away_before_stays_out_of_both_parts() -> None:
    first, second = (PartitionProgress(TopicPartition("in", number)) for number in (0, 1))
    items = [Item(record(1, b"{}"), first), Item(record(1, b"{}")._replace(partition=1), second)]
    head, rest = MicroBatch(items, [], [(second, 1)], Counter(), 1.0).split(1)
    assert (head.last_offsets, rest.last_offsets) == ([], [(second, 1)])


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


def test_a_call_whose_parts_are_answered_is_not_silent(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    time.sleep(0.1)
    (batch,) = bench.pipeline._in_flight
    batch.calls[0]._progress.at = time.monotonic()
    assert bench.pipeline.oldest_s() < 0.1
    assert bench.pipeline.awaited()["model m"] < 0.1


def test_the_next_attempt_knows_what_the_last_one_found(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.fail_next = 1
    bench.feed(message("a"))
    bench.run_dry()
    first, second = bench.classifier.progresses
    assert first is second is not None


def test_a_failed_call_is_asked_again_and_is_no_dead_letter(
    benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstream.workers.stream.micro_batch.RETRY_FIRST_S", 0.01)
    bench = benches()
    bench.classifier.fail_next = 3
    bench.feed(message("a"), message("b"))
    bench.run_dry()
    assert len(bench.producer.results()) == 2
    assert bench.producer.letters() == []
    assert bench.stats.snapshot()["retries"] == 3


def test_a_shifted_answer_never_becomes_a_label(benches: Callable[..., Bench]) -> None:
    bench = benches()
    monkey = bench.classifier
    monkey._classify = lambda requests: []  # type: ignore[method-assign]
    bench.feed(message("a"))
    with pytest.raises(ValueError, match="zip"):
        bench.turn_until(lambda: False)
    assert bench.producer.sent == []


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"key": b"k" * (MAX_KEY_BYTES + 1)}, "a key of 262145 bytes; 262144 are taken at most"),
        (
            {"headers": HeadersLeftOut(300_000, 600_000)},
            "300000 headers in 600000 bytes; 1000 in 262144 bytes are taken at most",
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


def test_what_is_acknowledged_is_let_go_at_once(benches: Callable[..., Bench]) -> None:
    """And not when the garbage collector comes by, which counts objects and no bytes."""
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"), message("b"))
    bench.pipeline.run_once(True)
    [batch] = bench.pipeline._in_flight
    calls = [ref(call) for call in batch.calls]
    del batch
    gc.disable()
    try:
        bench.classifier.gate.set()
        bench.run_dry()
        assert [call() for call in calls] == [None]
    finally:
        gc.enable()
