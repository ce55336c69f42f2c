"""Partition assignment and progress: only offsets whose results are acknowledged are ever committed.

A `PartitionProgress` lives as long as one assignment. A partition that the group revokes is `revoking` first: records
in flight may still be finished, because the next owner gets the partition only after this member's next poll. Then
the partition is `revoked`, at once if the membership was lost, and late results are not committed. A partition that is
assigned again gets a new `PartitionProgress`, so that no old offset can be committed.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata, TopicPartition

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.consumer.fetching import CorruptBatch

Offsets = dict[TopicPartition, int]
Notes = dict[TopicPartition, tuple[int, str]]  # (offset, commit metadata)


def as_kafka(
    offsets: Offsets, notes: Mapping[TopicPartition, str] | None = None
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return `offsets` in kafka-python's type. `notes`: commit metadata by partition."""
    notes = notes or {}
    return {partition: OffsetAndMetadata(offset, notes.get(partition, ""), -1) for partition, offset in offsets.items()}


def partition_name(partition: TopicPartition) -> str:
    """TOPIC:PARTITION, as users write and read it. A topic's name has no colon."""
    return f"{partition.topic}:{partition.partition}"


def log_fields(partition: TopicPartition, offset: int) -> dict[str, Any]:
    """Return the fields of a JSON log line."""
    return {"topic": partition.topic, "partition": partition.partition, "offset": offset}


@dataclass(slots=True, eq=False)
class PartitionProgress:
    """One assignment of one partition. Offsets are those of the next record: last one + 1.

    `name`: TOPIC:PARTITION. `halted`: the corrupt batch that stops reading. `note`: metadata of the committed offset
    until a record is finished; `prior`: that metadata before this worker, see crash_isolation. `condemned`: rejection
    of the one record in flight.
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
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = partition_name(self.partition)

    def begin(self, offset: int, note: str, prior: str) -> None:
        """Start reading at the committed `offset`, with its metadata."""
        self.committed, self.note, self.prior = offset, note, prior

    def receive(self, first: int, last: int) -> None:
        """Count records `first` to `last` as received. Raises `StreamError` if the log was rewound."""
        if first < self.received:
            raise StreamError(f"{self.name} was rewound from {self.received} to {first} without an assignment")
        if self.received < 0:
            self.done = first  # earlier offsets were not assigned to this worker
        self.received = last + 1

    def skip_to(self, offset: int) -> None:
        """Count all records before `offset` as done and committed: an operator skipped them."""
        self.received = self.done = self.committed = offset
        self.halted = None
        self.note = self.prior = ""

    def finish(self, last: int) -> None:
        """Count all records up to `last` as done: acknowledged, dead-lettered or skipped. Raises `StreamError`."""
        if last + 1 < self.done:
            raise StreamError(f"{self.name} finished {last} after {self.done}")
        self.done = last + 1
        self.note = self.prior = ""


class PartitionAssignment(ConsumerRebalanceListener):
    """The assigned partitions. Listener callbacks run on the client's IO thread, other methods on the pipeline's.

    `on_assigned` is called on the IO thread with new partitions before their offsets are fetched. `on_assigned` returns
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
        # The cooperative protocol calls this when the new assignment is known. Nobody owns the revoked partitions
        # until this member's next join, so records in flight can still be finished.
        with self._lock:
            self.rebalances += 1
            for partition in revoked:
                progress = self._held.pop(partition, None)
                if progress is not None:
                    progress.revoking = True
                    self._revoking[partition] = progress
            self._revoking_since = self._clock()

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        # Other members own these partitions already: the broker would refuse a commit.
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

    def drop(self, topics: Collection[str]) -> None:
        """Give up all partitions of deleted topics: nothing of them can be committed. Thread-safe."""
        with self._lock:
            held = {*self._held, *self._revoking}
        self.on_partitions_lost([partition for partition in held if partition.topic in topics])

    def revoking_s(self) -> float | None:
        """Return seconds since the last revocation while partitions await their release; None if there are none."""
        with self._lock:
            return self._clock() - self._revoking_since if self._revoking else None

    def is_stale(self, losses: int) -> bool:
        """Is any partition still assigned from before the last loss of the membership?"""
        with self._lock:
            return any(progress.losses != losses for progress in (*self._held.values(), *self._revoking.values()))

    def release(self) -> None:
        """Give up the partitions that are being revoked: their next owner repeats the records still in flight."""
        with self._lock:
            for progress in self._revoking.values():
                progress.revoked = True
            self._revoking.clear()

    def get(self, partition: TopicPartition) -> PartitionProgress | None:
        """Return the progress of an assigned partition, else None."""
        with self._lock:
            return self._held.get(partition)

    def assigned(self) -> list[PartitionProgress]:
        """Return assigned partitions without those being revoked."""
        with self._lock:
            return list(self._held.values())

    def revoking(self) -> list[PartitionProgress]:
        """Return partitions that are being revoked and not released yet."""
        with self._lock:
            return list(self._revoking.values())

    def notes(self) -> dict[TopicPartition, str]:
        """Return the commit metadata of offsets where no later record is finished."""
        with self._lock:
            progresses = [*self._held.values(), *self._revoking.values()]
        return {progress.partition: progress.note for progress in progresses if progress.note}

    def committable(self) -> Offsets:
        """Return offsets that are done and not committed."""
        with self._lock:
            progresses = [*self._held.values(), *self._revoking.values()]
        return {p.partition: p.done for p in progresses if p.done > p.committed}

    def committed(self, offsets: Offsets) -> None:
        """Record that the broker accepted `offsets`."""
        with self._lock:
            for partition, offset in offsets.items():
                progress = self._held.get(partition) or self._revoking.get(partition)
                if progress is not None:
                    progress.committed = max(progress.committed, offset)

    def noted(self, notes: Notes) -> None:
        """Record that the broker accepted offsets with metadata; no records were in flight."""
        with self._lock:
            for partition, (offset, note) in notes.items():
                progress = self._held.get(partition) or self._revoking.get(partition)
                if progress is not None:
                    progress.committed, progress.note = offset, note
