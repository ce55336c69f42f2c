"""Whose fault a broker's refusal is, and what it says of the record."""

import pytest
from kafka.errors import (
    InvalidProducerEpochError,
    InvalidRecordError,
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
)

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.errors import Fenced, RecordRefused, StreamError
from labelstream.workers.stream.producer.send_errors import is_missing_key, missing_key, refused_result, stream_error

NEIGHBOUR = KafkaError("Failed to append record because it was part of a batch which had one more more invalid records")


@pytest.mark.parametrize(
    "error",
    [
        NEIGHBOUR,
        KafkaError("the producer is in an error state", InvalidRecordError("no key")),
        InvalidRecordError("no"),
        InvalidTimestampError("no"),
        MessageSizeTooLargeError(),
        RecordListTooLargeError(),
    ],
    ids=repr,
)
def test_refused_record_and_its_neighbours_are_record_refused(error: KafkaError) -> None:
    assert type(stream_error("it", error)) is RecordRefused


@pytest.mark.parametrize("error", [KafkaError("else"), KafkaTimeoutError("late"), None], ids=repr)
def test_other_errors_are_the_streams(error: KafkaError | None) -> None:
    assert type(stream_error("it", error)) is StreamError


@pytest.mark.parametrize("error", [ProducerFencedError(), InvalidProducerEpochError()], ids=repr)
def test_fenced_producer_is_told(error: KafkaError) -> None:
    assert type(stream_error("it", error)) is Fenced


def test_error_names_what_was_done_and_the_cause() -> None:
    broken = KafkaError("the producer is in an error state", InvalidRecordError("no key"))
    assert str(stream_error("topic out cannot be written", broken)).startswith(
        "topic out cannot be written (InvalidRecordError: "
    )


def test_missing_key_is_known_by_its_text() -> None:
    said = "Compacted topic cannot accept message without key in topic partition out-0."
    assert is_missing_key(InvalidRecordError(said))
    assert not is_missing_key(InvalidRecordError("another"))
    assert not is_missing_key(KafkaError(said))


def test_result_without_a_key_names_its_topic() -> None:
    rejection = missing_key("out", "m")
    assert (rejection.reason, rejection.stage, rejection.model) == (Reason.RESULT_REFUSED, Stage.ENCODE, "m")
    assert rejection.message == "the output topic is compacted and requires keys (out)"


@pytest.mark.parametrize("error", [MessageSizeTooLargeError(), RecordListTooLargeError()], ids=repr)
def test_result_refused_for_its_size_is_too_large(error: KafkaError) -> None:
    rejection = refused_result("out", error, 5_000, "m")
    assert (rejection.reason, rejection.model) == (Reason.RESULT_TOO_LARGE, "m")
    assert "5000 bytes" in rejection.message


def test_result_refused_otherwise_says_what_the_broker_said() -> None:
    rejection = refused_result("out", InvalidRecordError("schema"), 5, "m")
    assert (rejection.reason, rejection.error_class) == (Reason.RESULT_REFUSED, "InvalidRecordError")
    assert rejection.message == "topic out refused the result: [Error 87] InvalidRecordError: schema"
