"""The broker's refusals: the fault of the one record, of the connection, or the end of our transaction?

Read in kafka-python 3.0.12 (producer/sender.py), and seen on Kafka 4.3.1: of a batch with an invalid record the broker
takes none and names those at fault. They get an error of their own, their neighbours a plain `KafkaError`, and
whatever comes later the error of the whole batch: kafka-python's producer is beyond repair then.
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
from labelstream.workers.stream.codec.encode import too_large
from labelstream.workers.stream.codec.rejection import Rejection

FENCED = (ProducerFencedError, InvalidProducerEpochError)  # another one has our transactional id, or it timed out
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
OWN = (*TOO_LARGE, InvalidRecordError, InvalidTimestampError)  # the record's fault, whoever sends it again
_NEIGHBOUR = "because it was part of a batch"
_KEYLESS = "cannot accept message without key"


def stream_error(what: str, error: BaseException | None) -> StreamError:
    """The error to raise for one of kafka's. A broken producer's carries the one that broke it as an argument."""
    known = [cause for cause in (error, *getattr(error, "args", ())) if isinstance(cause, (*OWN, *FENCED))]
    cause = known[0] if known else error
    own = isinstance(cause, OWN) or (type(cause) is KafkaError and _NEIGHBOUR in str(cause))
    kind = RecordRefused if own else Fenced if isinstance(cause, FENCED) else StreamError
    return kind(f"{what} ({type(cause).__name__}: {cause})")


def for_its_key(error: KafkaError) -> bool:
    """Was a record refused for having no key? Kafka has no code of its own for that."""
    return isinstance(error, InvalidRecordError) and _KEYLESS in str(error)


def keyless(topic: str, model: str) -> Rejection:
    """For a result without a key."""
    return Rejection(
        Reason.RESULT_REFUSED,
        Stage.ENCODE,
        InvalidRecordError.__name__,
        f"the output topic is compacted and takes no record without a key ({topic})",
        model=model,
    )


def not_taken(topic: str, error: KafkaError, size: int, model: str) -> Rejection:
    """For a result of about `size` bytes that the broker refused with `error`."""
    if isinstance(error, TOO_LARGE):
        return too_large(size, model)
    return Rejection(
        Reason.RESULT_REFUSED,
        Stage.ENCODE,
        type(error).__name__,
        f"topic {topic} does not take the result: {error}",
        model=model,
    )
