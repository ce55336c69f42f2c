"""Which partitions are ours, and how far each is done: never an offset whose result is not acknowledged.

A `PartitionProgress` lives as long as one assignment. When the group takes a partition away in order, its progress is
`revoking`: what is in flight may still be finished, because the next owner gets it only after our next poll. Then, or
at once when the membership was lost, it is revoked, so that late results find out. A partition that comes back gets
a new one, and nothing old can be committed for it.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata, TopicPartition

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.consumer.corrupt_batches import CorruptBatch

Offsets = dict[TopicPartition, int]
Notes = dict[TopicPartition, tuple[int, str]]  # offsets with their metadata


def as_kafka(
    offsets: Offsets, notes: Mapping[TopicPartition, str] | None = None
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Offsets in the client's own type. `notes`: their metadata, where they have some."""
    notes = notes or {}
    return {partition: OffsetAndMetadata(offset, notes.get(partition, ""), -1) for partition, offset in offsets.items()}


def log_fields(partition: TopicPartition, offset: int) -> dict[str, Any]:
    """Of a log line in JSON."""
    return {"topic": partition.topic, "partition": partition.partition, "offset": offset}


@dataclass(slots=True, eq=False)
class PartitionProgress:
    """One assignment of one partition. Offsets are of the next record: last one + 1. `halted`: it cannot be read on.

    As long as nothing is finished, `note` is the metadata of the committed offset, and `prior` what it was before this
    worker; see crash_isolation. `condemned`: what the record that is in flight alone becomes, unread.
    """

    partition: TopicPartition
    received: int = -1
    done: int = -1
    committed: int = -1
    revoking: bool = False
    losses: int = 0
    revoked: bool = False
    halted: CorruptBatch | None = None
    note: str = ""
    prior: str = ""
    condemned: Rejection | None = None

    def begin(self, offset: int, note: str, prior: str) -> None:
        """It is to be read from its committed offset on."""
        self.committed, self.note, self.prior = offset, note, prior

    def receive(self, first: int, last: int) -> None:
        """Records `first`..`last` came in. Raises `StreamError` when the log was rewound under us."""
        if first < self.received:
            raise StreamError(
                f"{self.partition.topic}:{self.partition.partition} was rewound from {self.received} "
                f"to {first} without an assignment"
            )
        if self.received < 0:
            self.done = first  # what lies before our first record was never ours to do
        self.received = last + 1

    def skip_to(self, offset: int) -> None:
        """What lies before `offset` is done and committed, by an operator's word."""
        self.received = self.done = self.committed = offset
        self.halted = None
        self.note = self.prior = ""

    def finish(self, last: int) -> None:
        """Every record up to `last` has an acknowledged result or dead letter, or was skipped on purpose."""
        if last + 1 < self.done:
            raise StreamError(f"{self.partition.topic}:{self.partition.partition} finished {last} after {self.done}")
        self.done = last + 1
        self.note = self.prior = ""


class PartitionAssignment(ConsumerRebalanceListener):
    """The partitions that we hold. Listener callbacks run on the client's IO thread, the rest on the loop's.

    `on_assigned` is called with new partitions, on the client's thread, before their offsets are looked for, and tells
    how often the membership was lost until now.
    """

    def __init__(
        self,
        on_assigned: Callable[[Collection[TopicPartition]], int] = lambda assigned: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_assigned, self._clock = on_assigned, clock
        self._lock = threading.Lock()
        self._held: dict[TopicPartition, PartitionProgress] = {}
        self._revoking: dict[TopicPartition, PartitionProgress] = {}
        self._revoking_since = 0.0
        self.rebalances = 0

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        # Under the cooperative protocol this is called when the new assignment stands, and the revoked partitions
        # are nobody's until our next poll joins again: so long there is time to finish what is in flight.
        with self._lock:
            self.rebalances += 1
            for partition in revoked:
                progress = self._held.pop(partition, None)
                if progress is not None:
                    progress.revoking = True
                    self._revoking[partition] = progress
            self._revoking_since = self._clock()

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        # The broker has given them away already: a commit would be refused.
        with self._lock:
            self.rebalances += 1
            for partition in lost:
                for progresses in (self._held, self._revoking):
                    if (progress := progresses.pop(partition, None)) is not None:
                        progress.revoked = True

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        assigned = list(assigned)
        losses = self._on_assigned(assigned)
        with self._lock:
            self.rebalances += 1
            for partition in assigned:
                self._held[partition] = PartitionProgress(partition, losses=losses)

    def revoking_s(self) -> float | None:
        """How long ago partitions were taken away that were not released yet, in seconds; None without any."""
        with self._lock:
            return self._clock() - self._revoking_since if self._revoking else None

    def is_stale(self, losses: int) -> bool:
        """Do we hold anything from before the membership was lost for the last time?"""
        with self._lock:
            return any(progress.losses != losses for progress in (*self._held.values(), *self._revoking.values()))

    def release(self) -> None:
        """Whatever is still in flight of partitions that are being revoked is their next owner's to do."""
        with self._lock:
            for progress in self._revoking.values():
                progress.revoked = True
            self._revoking.clear()

    def get(self, partition: TopicPartition) -> PartitionProgress | None:
        """The progress of a partition that we hold, else None."""
        with self._lock:
            return self._held.get(partition)

    def assigned(self) -> list[PartitionProgress]:
        """What we hold, without what is being revoked."""
        with self._lock:
            return list(self._held.values())

    def revoking(self) -> list[PartitionProgress]:
        """What is being revoked and was not released yet."""
        with self._lock:
            return list(self._revoking.values())

    def notes(self) -> dict[TopicPartition, str]:
        """The metadata of offsets that are not passed yet."""
        with self._lock:
            ours = [*self._held.values(), *self._revoking.values()]
        return {progress.partition: progress.note for progress in ours if progress.note}

    def committable(self) -> Offsets:
        """What is done and not yet committed."""
        with self._lock:
            ours = [*self._held.values(), *self._revoking.values()]
        return {p.partition: p.done for p in ours if p.done > p.committed}

    def committed(self, offsets: Offsets) -> None:
        """The broker has accepted `offsets`."""
        with self._lock:
            for partition, offset in offsets.items():
                progress = self._held.get(partition) or self._revoking.get(partition)
                if progress is not None:
                    progress.committed = max(progress.committed, offset)

    def noted(self, notes: Notes) -> None:
        """The broker has accepted offsets with their metadata; nothing was in flight of them."""
        with self._lock:
            for partition, (offset, note) in notes.items():
                progress = self._held.get(partition) or self._revoking.get(partition)
                if progress is not None:
                    progress.committed, progress.note = offset, note
