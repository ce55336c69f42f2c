"""The output records of a micro-batch, and their topics."""

import json
from typing import Any

import pytest

from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Fault, Prediction, RecordError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.encoding.producer_record import Encoded
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.producer.result_encoder import ResultEncoder
from tests.support.pipeline_bench import A, record

SURE = Prediction(("good", "bad"), (0.9, 0.1), 12, False, "r1")
MESSAGE = TextMessage.model_validate({"text": "a"})


def encoder(**settings: Any) -> ResultEncoder:
    given = {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m", **settings}
    return ResultEncoder("p", PipelineSettings.model_validate(given))


def item(progress: PartitionProgress | None = None, headers: Any = (), **more: Any) -> Item:
    given = {"message": MESSAGE, "model": "m", **more}
    return Item(record(7, b"the value", headers=headers), progress or PartitionProgress(A), **given)


def test_only_answers_and_passed_records_have_values() -> None:
    refused, lost = RecordError(Fault.TOO_LARGE, "too long"), PartitionProgress(A, revoked=True)
    items = [item(), item(), item(lost), item(message=None, passes=True), item(message=None, skipped="only_if")]
    first, *others, passed, skipped = encoder().encode(items, [SURE, refused, SURE, None, None])
    assert first is not None
    value = json.loads(first[0].value or b"")
    assert (value["label"], value["event_id"]) == ("good", "p/in/0/7")
    assert passed is not None
    assert passed[0].value == b"the value"
    assert [*others, skipped] == [None, None, None]


def encoded(made: ResultEncoder, item: Item, answer: Any) -> Encoded:
    [found] = made.encode([item], [answer])
    assert found is not None
    return found


def test_record_keeps_key_and_headers_of_its_input() -> None:
    result, topic = encoded(encoder(output_timestamp="now"), item(headers=[("trace", b"1"), ("none", None)]), SURE)
    assert (result.key, result.headers) == (b"k", [("trace", b"1"), ("none", b"")])
    assert (topic, result.partition, result.timestamp_ms) == ("out", None, None)


def test_record_has_partition_and_time_of_its_input() -> None:
    own = item()
    result, _ = encoded(encoder(output_partition="same", output_timestamp="input"), own, SURE)
    assert (result.partition, result.timestamp_ms) == (0, own.record.timestamp)


@pytest.mark.parametrize(("label", "topic"), [("good", "praise"), ("bad", None), ("other", "out")])
def test_first_rule_that_matches_names_the_topic(label: str, topic: str | None) -> None:
    rules = [{"label": "good", "topic": "praise"}, {"label": ["bad", "good"], "topic": None}]
    answer = SURE._replace(labels=(label, "rest"))
    assert encoded(encoder(route=rules), item(), answer)[1] == topic


def test_passed_record_goes_to_the_output() -> None:
    rules = [{"topic": None}]
    result, topic = encoded(encoder(route=rules, headers="cloudevents"), item(message=None, passes=True), None)
    assert (topic, result.value, result.headers) == ("out", b"the value", [])
