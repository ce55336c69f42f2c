"""A halted partition goes on behind its corrupt batch, where an operator says, and nowhere else."""

from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused
from labelstream.workers.stream.consumer.assignment import PartitionAssignment, PartitionProgress
from labelstream.workers.stream.consumer.fetching import CorruptBatch
from labelstream.workers.stream.consumer.skip import CorruptBatchSkip

A, B = TopicPartition("in", 0), TopicPartition("in", 1)


class Consumer:
    """A log that ends at 100. Remembers what is committed and sought, in that order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.commit_error: Exception | None = None
        self.lost = False

    def end_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 100)

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        if self.commit_error is not None:
            raise self.commit_error
        self.calls.append(("commit", offsets[A].offset))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if self.lost:
            raise ValueError("Unassigned partition")
        self.calls.append(("seek", offset))


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


def halted(consumer: Any, end: int | None = 50) -> tuple[CorruptBatchSkip, PartitionProgress]:
    """A is halted at offset 40; its batch goes to `end`."""
    assignment = PartitionAssignment()
    assignment.on_partitions_assigned([A])
    [progress] = assignment.assigned()
    progress.receive(0, 39)
    progress.finish(39)
    progress.halted = CorruptBatch(40, end, "CorruptRecordError")
    return CorruptBatchSkip(consumer, assignment), progress


def test_skip_commits_first_and_goes_on_there(consumer: Consumer) -> None:
    skip, progress = halted(consumer)
    assert skip.check(A, 50) is progress
    assert skip.skip(progress, 50) == 10
    assert consumer.calls == [("commit", 50), ("seek", 50)]
    assert (progress.halted, progress.done, progress.committed) == (None, 50, 50)


def test_skip_of_a_partition_held_elsewhere_is_not_ours(consumer: Consumer) -> None:
    skip, _ = halted(consumer)
    with pytest.raises(CommandRefused, match="in:1 is not assigned to this worker") as refusal:
        skip.check(B, 50)
    assert not refusal.value.ours


def test_skip_of_a_partition_that_is_read_is_refused(consumer: Consumer) -> None:
    skip, progress = halted(consumer)
    progress.halted = None
    with pytest.raises(CommandRefused, match="in:0 is not halted: nothing to skip") as refusal:
        skip.check(A, 50)
    assert refusal.value.ours


@pytest.mark.parametrize(("end", "first"), [(50, 50), (None, 41)])
def test_skip_into_the_corrupt_batch_is_refused(consumer: Consumer, end: int | None, first: int) -> None:
    skip, progress = halted(consumer, end)
    assert skip.check(A, first) is progress
    with pytest.raises(CommandRefused, match=f"the first offset behind it is {first}"):
        skip.check(A, first - 1)


def test_skip_behind_the_end_of_the_log_is_refused(consumer: Consumer) -> None:
    skip, progress = halted(consumer)
    with pytest.raises(CommandRefused, match="in:0:101 is behind the end of the log, 100"):
        skip.skip(progress, 101)
    assert (consumer.calls, progress.done) == ([], 40)
    assert progress.halted is not None


def test_skip_that_cannot_be_committed_changes_nothing(consumer: Consumer) -> None:
    skip, progress = halted(consumer)
    consumer.commit_error = KafkaTimeoutError()
    with pytest.raises(CommandRefused, match=r"could not be committed \(KafkaTimeoutError\); try again"):
        skip.skip(progress, 50)
    assert (consumer.calls, progress.done) == ([], 40)
    assert progress.halted is not None


def test_skip_of_a_partition_taken_away_is_committed(consumer: Consumer) -> None:
    """The next owner goes on there."""
    skip, progress = halted(consumer)
    consumer.lost = True
    assert skip.skip(progress, 60) == 20
    assert consumer.calls == [("commit", 60)]
