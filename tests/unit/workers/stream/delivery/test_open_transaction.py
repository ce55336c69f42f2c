"""What a transaction holds: never an offset of a partition taken away, and notes that go with its offsets."""

from collections import Counter

from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.delivery.open_transaction import OpenTransaction
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch
from tests.support.clock import Clock
from tests.support.pipeline_bench import record


def progress(number: int = 0) -> PartitionProgress:
    made = PartitionProgress(TopicPartition("in", number))
    made.begin(0, "note", "prior")
    return made


def produced(*last_offsets: tuple[PartitionProgress, int], size: int = 10) -> ProducedBatch:
    """Of one message that weighs 7."""
    items = [Item(record(0, b"{}"), one) for one, _ in last_offsets[:1]]
    made = ProducedBatch(MicroBatch(items, [], list(last_offsets), Counter(), 0.0, weight=7))
    made.size = size
    return made


def test_transaction_is_as_old_as_its_first_batch() -> None:
    clock = Clock()
    open_ = OpenTransaction(clock)
    clock.now = 5.0
    open_.begin()
    open_.add(produced((progress(), 3)))
    clock.now = 9.0
    open_.begin()
    open_.close()
    assert (open_.opened_at, open_.closed_at, open_.closing) == (5.0, 9.0, True)


def test_transaction_counts_all_that_was_produced() -> None:
    open_ = OpenTransaction(Clock())
    open_.add(produced((progress(), 3), size=10))
    open_.add(produced((progress(1), 5), size=20))
    assert (open_.messages, open_.weight, open_.size) == (2, 14, 30)


def test_batch_that_was_taken_away_is_nothing_to_commit() -> None:
    open_ = OpenTransaction(Clock())
    open_.add(produced())
    assert (open_.batches, open_.is_acknowledged()) == ([], True)


def test_transaction_waits_for_the_acknowledgement_of_each_batch() -> None:
    open_ = OpenTransaction(Clock())
    batches = [produced((progress(), 3)), produced((progress(), 5))]
    for batch in batches:
        open_.add(batch)
    open_.acknowledged.append(batches[0])
    assert not open_.is_acknowledged()
    open_.acknowledged.append(batches[1])
    assert open_.is_acknowledged()


def test_offsets_are_the_last_ones_of_partitions_that_are_ours() -> None:
    first, second = progress(0), progress(1)
    open_ = OpenTransaction(Clock())
    open_.add(produced((first, 3), (second, 8)))
    open_.add(produced((first, 6)))
    assert open_.offsets() == {first.partition: 7, second.partition: 9}
    assert not open_.is_revoked()
    second.revoked = True
    assert open_.offsets() == {first.partition: 7}
    assert open_.is_revoked()


def test_notes_go_with_the_offsets_and_come_back_with_an_abort() -> None:
    noted = progress()
    open_ = OpenTransaction(Clock())
    open_.add(produced((noted, 3)))
    open_.add(produced((noted, 6)))
    open_.hold_notes()
    assert (noted.note, noted.prior) == ("", "")
    open_.restore_notes()
    assert (noted.note, noted.prior) == ("note", "prior")


def test_notes_of_a_transaction_that_was_not_committed_stay() -> None:
    noted = progress()
    open_ = OpenTransaction(Clock())
    open_.add(produced((noted, 3)))
    open_.restore_notes()
    assert (noted.note, noted.prior) == ("note", "prior")
