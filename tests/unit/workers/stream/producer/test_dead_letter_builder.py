"""A rejected record becomes a dead letter, as large as its topic takes, and in no more forms than two."""

from typing import Any

import pytest
from kafka.errors import InvalidRecordError, MessageSizeTooLargeError

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.classifier import Fault, Prediction, RecordError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.producer.dead_letter_builder import DeadLetterBuilder, rejection_of
from labelstream.workers.stream.producer.topic_requirements import TopicRequirements
from tests.support.pipeline_bench import A, record

SETTINGS = PipelineSettings.model_validate({"input": "in", "output": "out", "dead_letter": "dead", "model": "m"})
REJECTION = Rejection(Reason.INVALID_JSON, Stage.DECODE, "DecodeError", "not JSON")


def made(max_bytes: int = 10_000, **limits: Any) -> tuple[DeadLetterBuilder, TopicRequirements]:
    rules = TopicRequirements("p", SETTINGS, TopicLimits(**limits))
    return DeadLetterBuilder("p", SETTINGS, max_bytes, rules), rules


def item(key: bytes | None = b"k") -> Item:
    return Item(record(7, b"x" * 1_000, key), PartitionProgress(A), model="m")


def test_dead_letter_is_whole_where_it_fits() -> None:
    letter = made()[0].build(item(), REJECTION)
    assert letter is not None
    assert (letter.value, letter.key) == (b"x" * 1_000, b"k")
    assert dict(letter.headers)["labelstream.reason"] == b"invalid_json"


def test_dead_letter_that_does_not_fit_leaves_the_value_out() -> None:
    letter = made(max_bytes=900)[0].build(item(), REJECTION)
    assert letter is not None
    assert letter.value == b""
    assert dict(letter.headers)["labelstream.value_omitted"].startswith(b"bytes=1000;")


def test_refused_dead_letter_is_built_once_more_as_small_as_can_be() -> None:
    builder, rules = made()
    whole = builder.build(item(), REJECTION)
    assert whole is not None
    rules.refused("dead", item(), whole, MessageSizeTooLargeError())
    least = builder.build(item(), REJECTION)
    assert least is not None
    assert (least.value, least.key) == (b"", None)
    rules.refused("dead", item(), least, InvalidRecordError("schema"))
    assert builder.build(item(), REJECTION) is None
    assert builder.why_none(item()) == (
        "pipelines.p.dead_letter: topic dead refuses every form of the dead letter of in:0:7 "
        "(InvalidRecordError: [Error 87] InvalidRecordError: schema); raise the topic's max.message.bytes, or "
        "relax its other settings"
    )


def test_dead_letter_for_a_compacted_topic_has_a_key() -> None:
    letter = made(keyed=frozenset({"dead"}))[0].build(item(key=None), REJECTION)
    assert letter is not None
    assert letter.key is not None
    assert "labelstream.key_made" in dict(letter.headers)


def test_rejection_of_an_outcome() -> None:
    assert rejection_of(REJECTION, "m") is REJECTION
    refused = rejection_of(RecordError(Fault.TOO_LARGE, "9 tokens", attempts=2), "m")
    assert (refused.reason, refused.stage, refused.attempts, refused.model) == (
        Reason.TOO_LARGE,
        Stage.CLASSIFY,
        2,
        "m",
    )
    with pytest.raises(TypeError, match="BUG: prediction for a record without a decoded message"):
        rejection_of(Prediction(("A",), (1.0,), 3, False, "r"), "m")
