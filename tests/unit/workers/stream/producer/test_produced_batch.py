"""What a micro-batch sent: counted, acknowledged in order, and what of it need not be sent again after a refusal."""

from collections import Counter
from typing import Any

import pytest
from kafka.errors import KafkaError

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Prediction
from labelstream.workers.errors import RecordRefused
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.produced_batch import DeadLetterRefused, ProducedBatch, acknowledged
from labelstream.workers.stream.stats import ABSTAINED, OTHER
from tests.support.pipeline_bench import A, Ack, record

NEIGHBOUR = KafkaError("Failed to append record because it was part of a batch which had one more more invalid records")


def item(offset: int) -> Item:
    return Item(record(offset, b"{}"), PartitionProgress(A), model="m")


def micro_batch() -> MicroBatch:
    return MicroBatch([], [], [], Counter(), 0.0)


def produced(*sent: tuple[int, bytes | None, bool]) -> ProducedBatch:
    """Offset, key, and whether the broker has it."""
    made = ProducedBatch(micro_batch())
    for offset, key, taken in sent:
        ack: Any = Ack()
        if taken:
            ack.success(None)
        else:
            ack.failure(NEIGHBOUR)
        made.expect("out", [Item(record(offset, b"{}", key), PartitionProgress(A))], [ack], 100)
    return made


def offsets(*produced_batches: ProducedBatch, same_partition: bool = False) -> list[int]:
    return sorted(offset for _, (_, _, offset) in acknowledged(produced_batches, same_partition))


def test_records_behind_refused_one_of_same_key_are_resent() -> None:
    first = produced((0, b"a", True), (1, b"b", False), (2, None, True), (3, b"a", True))
    second = produced((4, b"b", True), (5, b"c", True), (6, None, True))
    assert offsets(first, second) == [0, 2, 3, 5, 6]
    assert offsets(first, second, same_partition=True) == [0]
    assert offsets() == []


def test_records_without_key_behind_refused_one_of_partition_are_resent() -> None:
    made = produced((0, None, True), (1, None, False), (2, None, True), (3, b"a", True))
    assert offsets(made) == [0, 3]


def test_batch_is_acknowledged_with_its_last_record() -> None:
    made, acks = ProducedBatch(micro_batch()), [Ack(), Ack()]
    made.expect("out", [item(0), item(1)], acks, 100)  # type: ignore[arg-type]
    assert (made.size, made.unacknowledged_topic(), made.poll_acks()) == (100, "out", False)
    woken: list[str] = []
    made.on_last_ack(lambda: woken.append("now"))
    acks[1].success(None)
    assert (woken, made.poll_acks()) == (["now"], False)
    acks[0].success(None)
    assert made.poll_acks()
    assert made.unacknowledged_topic() is None


def test_batch_without_records_is_acknowledged_at_once() -> None:
    made, woken = ProducedBatch(micro_batch()), list[str]()
    made.on_last_ack(lambda: woken.append("now"))
    assert made.poll_acks()
    assert woken == ["now"]


def test_refused_record_raises_when_acks_are_polled() -> None:
    with pytest.raises(RecordRefused):
        produced((0, b"a", True), (1, b"a", False)).poll_acks()


def test_batch_that_was_cut_short_raises_behind_its_acks() -> None:
    made, refusal = produced((0, b"a", True)), RecordRefused("the producer is broken")
    made.cut_short(refusal)
    with pytest.raises(RecordRefused, match="the producer is broken"):
        made.poll_acks()


def test_results_are_counted_by_partition_and_label() -> None:
    made = ProducedBatch(micro_batch())
    own = TextMessage.model_validate({"text": "t", "candidate_labels": ["secret", "other"]})
    made.count_result(item(0), Prediction(("A",), (1.0,), 3, False, "r"))
    made.count_result(item(1), Prediction(("A",), (0.2,), 3, False, "r", accepted=()))
    made.count_result(item(2)._replace(message=own), Prediction(("secret",), (1.0,), 3, False, "r"))
    assert (made.tally.results, made.tally.abstained) == ({"in:0": 3}, 1)
    assert made.tally.labels == {("m", "A"): 1, ("m", ABSTAINED): 1, ("m", OTHER): 1}


def test_dead_letters_are_counted_with_the_first_place_of_each_reason() -> None:
    made = ProducedBatch(micro_batch())
    for offset, reason in ((4, Reason.INVALID_JSON), (5, Reason.TOO_LARGE), (6, Reason.INVALID_JSON)):
        made.count_dead_letter(item(offset), reason)
    assert made.first_dead == {"invalid_json": ("in", 0, 4), "too_large": ("in", 0, 5)}
    assert made.tally.dead_letters == {("in:0", "invalid_json"): 2, ("in:0", "too_large"): 1}


def test_refused_dead_letter_commits_what_stands_before_it() -> None:
    progress = PartitionProgress(A)
    items = [Item(record(offset, b"{}"), progress, model="m") for offset in (3, 4, 5)]
    made = ProducedBatch(MicroBatch(items, [], [(progress, 5)], Counter(), 0.0))
    error = DeadLetterRefused("in no form", made, items[2])
    assert error.produced.batch.last_offsets == [(progress, 4)]
    assert DeadLetterRefused("in no form", made, items[0]).produced.batch.last_offsets == []
