"""What need not be sent again after a refusal."""

from types import SimpleNamespace
from typing import Any

from kafka.errors import InvalidRecordError, InvalidTimestampError, KafkaError, KafkaTimeoutError, ProducerFencedError

from labelstream.workers.errors import Fenced, RecordRefused, StreamError
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.producer.produced_batch import ProducedBatch, acknowledged
from labelstream.workers.stream.producer.send_errors import not_taken, stream_error
from tests.support.pipeline_bench import Ack, record

NEIGHBOUR = KafkaError("Failed to append record because it was part of a batch which had one more more invalid records")


def produced(*sent: tuple[int, bytes | None, bool]) -> ProducedBatch:
    """Offset, key, and whether the broker has it."""
    made, progress = ProducedBatch(SimpleNamespace(items=[])), SimpleNamespace()  # type: ignore[arg-type]
    for offset, key, taken in sent:
        ack: Any = Ack()
        if taken:
            ack.success(None)
        else:
            ack.failure(NEIGHBOUR)
        made.expect("out", [Item(record(offset, b"{}", key), progress)], [ack], 100)  # type: ignore[arg-type]
    return made


def offsets(*produced_batches: ProducedBatch, same_partition: bool = False) -> list[int]:
    return sorted(offset for _, (_, _, offset) in acknowledged(produced_batches, same_partition))


def test_records_behind_refused_one_of_same_key_are_resent() -> None:
    first = produced((0, b"a", True), (1, b"b", False), (2, None, False), (3, b"a", True))
    second = produced((4, b"b", True), (5, b"c", True), (6, None, True))
    assert offsets(first, second) == [0, 3, 5, 6]
    assert offsets(first, second, same_partition=True) == [0]
    assert offsets() == []


def test_whose_fault_a_refusal_is() -> None:
    broken = KafkaError("the producer is in an error state", InvalidRecordError("no key"))
    for error in (NEIGHBOUR, broken, InvalidRecordError("no"), InvalidTimestampError("no")):
        assert type(stream_error("it", error)) is RecordRefused
    for error in (KafkaError("else"), KafkaTimeoutError("late"), None):
        assert type(stream_error("it", error)) is StreamError
    assert type(stream_error("it", ProducerFencedError())) is Fenced
    message = not_taken("out", InvalidRecordError("schema"), 5, "m").message
    assert message == "topic out does not take the result: [Error 87] InvalidRecordError: schema"
