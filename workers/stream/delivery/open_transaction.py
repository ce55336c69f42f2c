"""What was produced since the last commit, and which offsets a commit of it stands for."""

from collections.abc import Callable

from labelstream.workers.stream.consumer.assignment import Offsets, PartitionProgress
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch


class OpenTransaction:
    """Begins with its first micro-batch, and takes no more once it is `closing`.

    `weight`: of its messages, `size`: of what was produced of them; both in bytes.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.batches: list[MicroBatch] = []
        self.acknowledged: list[ProducedBatch] = []
        self.messages = self.weight = self.size = 0
        self.opened_at = self.closed_at = 0.0
        self.closing = False
        self._notes: list[tuple[PartitionProgress, str, str]] = []  # of the commit that is under way

    def begin(self) -> None:
        """Something is produced now."""
        if not self.batches:
            self.opened_at = self._clock()

    def add(self, produced: ProducedBatch) -> None:
        """It was produced, with or without success."""
        if produced.batch.last_offsets:  # else all of this head was taken away: there is nothing to commit
            self.batches.append(produced.batch)
        self.messages += len(produced.batch.items)
        self.weight += produced.batch.weight
        self.size += produced.size

    def close(self) -> None:
        self.closing, self.closed_at = True, self._clock()

    def is_acknowledged(self) -> bool:
        """Every record of it, by the brokers."""
        return len(self.acknowledged) >= len(self.batches)

    def is_revoked(self) -> bool:
        """Was a partition in it taken away?"""
        return any(progress.revoked for progress in self._progresses())

    def offsets(self) -> Offsets:
        """Of the partitions that are still ours, as the group is to have them."""
        return {
            progress.partition: offset + 1
            for batch in self.batches
            for progress, offset in batch.last_offsets
            if not progress.revoked
        }

    def hold_notes(self) -> None:
        """Its offsets may stand from now on: to take a note back would move the group behind them."""
        self._notes = [(progress, progress.note, progress.prior) for progress in self._progresses()]
        for progress, _, _ in self._notes:
            progress.note = progress.prior = ""

    def restore_notes(self) -> None:
        """Its offsets do not stand."""
        for progress, note, prior in self._notes:
            progress.note, progress.prior = note, prior

    def _progresses(self) -> set[PartitionProgress]:
        return {progress for batch in self.batches for progress, _ in batch.last_offsets}
