"""Classify a producer error: refused record, fenced transaction, or failure of the connection.

In kafka-python 3.0.12 (producer/sender.py) and Kafka 4.3.1, the broker refuses a whole batch for one invalid record.
The invalid records get an error of their own, other records of the batch a plain `KafkaError`, and all later records
the batch's error: the producer is unusable.
"""

from kafka.errors import (
    InvalidProducerEpochError,
    InvalidRecordError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
)

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.errors import Fenced, RecordRefused, StreamError
from labelstream.workers.stream.codec.rejection import Rejection

FENCED = (ProducerFencedError, InvalidProducerEpochError)  # another producer uses the id, or the transaction timed out
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
RECORD_ERRORS = (
    *TOO_LARGE,
    InvalidRecordError,
    InvalidTimestampError,
)  # retries cannot succeed
_NEIGHBOR = "because it was part of a batch"
_KEYLESS = "cannot accept message without key"


def stream_error(what: str, error: BaseException | None) -> StreamError:
    """The error to raise for a KafkaError. A broken producer's error has the original error in its arguments."""
    known = [cause for cause in (error, *getattr(error, "args", ())) if isinstance(cause, (*RECORD_ERRORS, *FENCED))]
    cause = known[0] if known else error
    own = isinstance(cause, RECORD_ERRORS) or (type(cause) is KafkaError and _NEIGHBOR in str(cause))
    kind = RecordRefused if own else Fenced if isinstance(cause, FENCED) else StreamError
    return kind(f"{what} ({type(cause).__name__}: {cause})")


def is_missing_key(error: KafkaError) -> bool:
    """Was a record refused because it has no key? Kafka has no error code for that."""
    return isinstance(error, InvalidRecordError) and _KEYLESS in str(error)


def too_large(size: int, model: str) -> Rejection:
    """Rejection of a result of about `size` bytes that the output topic refuses."""
    return Rejection(
        Reason.RESULT_TOO_LARGE,
        Stage.ENCODE,
        "ResultTooLarge",
        f"the result has about {size} bytes, more than the output topic accepts; raise its max.message.bytes",
        model=model,
    )


def missing_key(topic: str, model: str) -> Rejection:
    """Rejection of a result without a key."""
    return Rejection(
        Reason.RESULT_REFUSED,
        Stage.ENCODE,
        InvalidRecordError.__name__,
        f"the output topic is compacted and requires keys ({topic})",
        model=model,
    )


def refused_result(topic: str, error: KafkaError, size: int, model: str) -> Rejection:
    """Rejection of a result of about `size` bytes that the broker refused with `error`."""
    if isinstance(error, TOO_LARGE):
        return too_large(size, model)
    return Rejection(
        Reason.RESULT_REFUSED,
        Stage.ENCODE,
        type(error).__name__,
        f"topic {topic} refused the result: {error}",
        model=model,
    )
