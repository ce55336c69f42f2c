"""Micro-batches and offsets of the open transaction."""

from collections.abc import Callable

from labelstream.workers.stream.consumer.assignment import Offsets, PartitionProgress
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch


class OpenTransaction:
    """Begins with its first micro-batch, and accepts no more once `closing`.

    `weight`: bytes of its messages; `size`: bytes of the produced records.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.batches: list[MicroBatch] = []
        self.acknowledged: list[ProducedBatch] = []
        self.messages = self.weight = self.size = 0
        self.opened_at = self.closed_at = 0.0
        self.closing = False
        self._notes: list[tuple[PartitionProgress, str, str]] = []  # of the commit in progress

    def begin(self) -> None:
        """Record the opening time before the first micro-batch is produced."""
        if not self.batches:
            self.opened_at = self._clock()

    def add(self, produced: ProducedBatch) -> None:
        """Add a micro-batch, whether produced or failed."""
        if produced.batch.last_offsets:  # empty if all partitions are revoked: nothing to commit
            self.batches.append(produced.batch)
        self.messages += len(produced.batch.items)
        self.weight += produced.batch.weight
        self.size += produced.size

    def close(self) -> None:
        self.closing, self.closed_at = True, self._clock()

    def is_acknowledged(self) -> bool:
        """Is every record acknowledged?"""
        return len(self.acknowledged) >= len(self.batches)

    def is_revoked(self) -> bool:
        """Is a partition of the transaction revoked?"""
        return any(progress.revoked for progress in self._progresses())

    def offsets(self) -> Offsets:
        """Offsets to commit, without revoked partitions."""
        return {
            progress.partition: offset + 1
            for batch in self.batches
            for progress, offset in batch.last_offsets
            if not progress.revoked
        }

    def hold_notes(self) -> None:
        """Remove the notes: the offsets may be committed from now on, and committing a note would rewind them."""
        self._notes = [(progress, progress.note, progress.prior) for progress in self._progresses()]
        for progress, _, _ in self._notes:
            progress.note = progress.prior = ""

    def restore_notes(self) -> None:
        """Restore the notes: the offsets were not committed."""
        for progress, note, prior in self._notes:
            progress.note, progress.prior = note, prior

    def _progresses(self) -> set[PartitionProgress]:
        return {progress for batch in self.batches for progress, _ in batch.last_offsets}
