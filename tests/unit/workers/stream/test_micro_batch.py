"""A micro-batch: what its records become, its calls and their retries, its halves."""

import gc
import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.structs import TopicPartition

from labelstream.workers.classifier import Answer, Progress, Request
from labelstream.workers.stream.batch_factory import BatchFactory
from labelstream.workers.stream.codec.encoding.results import value_encoder
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.text_list import FailedTexts
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.flow_control.circuit_breaker import model_failures
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from tests.support.decoding import pipeline
from tests.support.fakes import FakeClassifier, predict
from tests.support.pipeline_bench import Bench, message, record


def test_a_micro_batch_in_two_is_as_far_as_the_whole() -> None:
    first, second = (PartitionProgress(TopicPartition("in", number)) for number in (0, 1))
    items = [Item(record(offset, b"{}"), first) for offset in (5, 6)]
    items += [Item(record(offset, b"{}")._replace(partition=1), second) for offset in (8, 9)]
    batch = MicroBatch(items, [], [(first, 6), (second, 9)], Counter({"in:0": 2, "in:1": 2}), 1.0)
    batch.passed_breaker = True
    head, rest = batch.split(3)
    assert (head.last_offsets, rest.last_offsets) == ([(first, 6), (second, 8)], [(second, 9)])
    assert (head.records_by_partition, rest.records_by_partition) == (
        Counter({"in:0": 2, "in:1": 1}),
        Counter({"in:1": 1}),
    )
    assert [*head.items, *rest.items] == items
    assert head.passed_breaker
    assert rest.passed_breaker
    assert rest.received_at == batch.received_at


def test_what_was_taken_away_before_stays_out_of_both_parts() -> None:
    first, second = (PartitionProgress(TopicPartition("in", number)) for number in (0, 1))
    items = [Item(record(1, b"{}"), first), Item(record(1, b"{}")._replace(partition=1), second)]
    head, rest = MicroBatch(items, [], [(second, 1)], Counter(), 1.0).split(1)
    assert (head.last_offsets, rest.last_offsets) == ([], [(second, 1)])


def test_a_shifted_answer_never_becomes_a_label(benches: Callable[..., Bench]) -> None:
    bench = benches()
    monkey = bench.classifier
    monkey._classify = lambda requests: []  # type: ignore[method-assign]
    bench.feed(message("a"))
    with pytest.raises(ValueError, match="zip"):
        bench.turn_until(lambda: False)
    assert bench.producer.sent == []


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


def test_texts_of_lists_are_answered_in_their_records(benches: Callable[..., Bench]) -> None:
    bench = benches(
        fields={"text": "l[*]", "model": "m"},
        models=["m", "n"],
        classifiers={"m": FakeClassifier(), "n": FakeClassifier()},
    )
    bench.feed(
        b'{"l":["even","odd"]}',
        b'{"l":[" "]}',
        b'{"l":["odd","poison","even"],"m":"n"}',
        b'{"l":["poison","poison"]}',
        b'{"l":["even"]}',
    )
    bench.run_dry()
    results = bench.producer.results()
    labels = [[answer.get("label") for answer in result["answers"]] for result in results]
    assert labels == [["POSITIVE", "NEGATIVE"], ["NEGATIVE", None, "POSITIVE"], ["POSITIVE"]]
    assert [result["model"] for result in results] == ["m", "n", "m"]
    assert results[1]["answers"][1] == {"error": {"reason": "inference_failed", "message": "ValueError"}}
    letters = [letter["labelstream.reason"] for letter in bench.producer.letters()]
    assert letters == ["empty_text", "inference_failed"]
    assert bench.stats.snapshot().get("failed_texts") == {"inference_failed": 1}


def test_half_of_a_micro_batch_keeps_the_answers_of_its_lists(benches: Callable[..., Bench]) -> None:
    bench = benches(fields={"text": "l[*]"})
    bench.classifier.gate.clear()
    bench.feed(b'{"l":["even","odd"]}', b'{"l":["odd","poison"]}', b'{"l":["poison"]}')
    bench.pipeline.run_once(True)
    [batch] = bench.pipeline._in_flight
    assert batch.unknown_fields() == 0
    bench.classifier.gate.set()
    batch.resolve()
    first, rest = batch.split(1)
    assert [*first.outcomes, *rest.outcomes] == batch.outcomes
    assert (first.has_dead_letters(), rest.has_dead_letters()) == (False, True)
    assert model_failures(batch) == (5, Counter({"inference_failed": 2}))


class Immediate(FakeClassifier):
    """Answers in the calling thread."""

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> "Future[list[Answer]]":
        future: Future[list[Answer]] = Future()
        future.set_result([predict(request) for request in requests])
        return future


LISTS = st.lists(st.sampled_from(["even", "odd", "poison", " ", None, 5]), max_size=5)
FOUND = {
    "even": "POSITIVE",
    "odd": "NEGATIVE",
    "poison": "inference_failed",
    " ": "empty_text",
    None: "empty_text",
    5: "invalid_message",
}


@given(st.lists(LISTS, min_size=1, max_size=5))
def test_any_mix_of_texts_is_answered_in_order_and_number(lists: list[list[Any]]) -> None:
    settings = pipeline(fields={"text": "l[*]"})
    records = [record(offset, json.dumps({"l": texts}).encode()) for offset, texts in enumerate(lists)]
    progress, encode = PartitionProgress(TopicPartition("in", 0)), value_encoder("p", settings)
    batch = BatchFactory(settings, {"m": Immediate()}).decode_and_submit([(progress, records)], 0.0, 0)
    batch.resolve()
    for texts, item, outcome in zip(lists, batch.items, batch.outcomes, strict=True):
        if not {"even", "odd"} & set(texts):
            assert isinstance(outcome, Rejection | FailedTexts)
            continue
        answers = json.loads(encode(item.record, item.message, "m", outcome, datetime.now(UTC)))["answers"]
        assert [answer.get("label") or answer["error"]["reason"] for answer in answers] == [FOUND[one] for one in texts]
