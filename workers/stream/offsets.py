"""Which partitions are ours, and how far each is done: never an offset whose result is not acknowledged.

A `PartitionProgress` lives as long as one assignment. When a partition is taken away its progress is revoked, so that
late results find out; when it comes back it gets a new one, and nothing old can be committed for it.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kafka import ConsumerRebalanceListener
from kafka.structs import TopicPartition

from workers.errors import StreamError

Offsets = dict[TopicPartition, int]


@dataclass(slots=True, eq=False)
class PartitionProgress:
    """One assignment of one partition. Offsets are of the next record: last one + 1."""

    partition: TopicPartition
    received: int = -1
    done: int = -1
    committed: int = -1
    revoked: bool = False

    def receive(self, first: int, last: int) -> None:
        """Records `first`..`last` came in. Raises `StreamError` when the log was rewound under us."""
        if first < self.received:
            raise StreamError(f"{self.partition.topic}:{self.partition.partition} was rewound from {self.received} "
                              f"to {first} without an assignment")
        if self.received < 0:
            self.done = first  # what lies before our first record was never ours to do
        self.received = last + 1

    def finish(self, last: int) -> None:
        """Every record up to `last` has an acknowledged result or dead letter, or was skipped on purpose."""
        if last + 1 < self.done:
            raise StreamError(f"{self.partition.topic}:{self.partition.partition} finished {last} after {self.done}")
        self.done = last + 1


class Ownership(ConsumerRebalanceListener):
    """The partitions that we hold. Listener callbacks run on the client's IO thread, the rest on the loop's.

    `commit_soon(offsets)` must not block; on a revocation it is called with what is done but not committed, while we
    are still the recognised owner, so that the next owner starts behind it.
    """

    def __init__(self, commit_soon: Callable[[Offsets], None]) -> None:
        self._lock = threading.Lock()
        self._held: dict[TopicPartition, PartitionProgress] = {}
        self._commit_soon = commit_soon
        self.rebalances = 0

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        taken = self._drop(revoked)
        last = {p.partition: p.done for p in taken if p.done > p.committed}
        if last:
            self._commit_soon(last)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._drop(lost)  # the broker has given them away already: a commit would be refused

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        with self._lock:
            self.rebalances += 1
            for partition in assigned:
                self._held[partition] = PartitionProgress(partition)

    def get(self, partition: TopicPartition) -> PartitionProgress | None:
        """The progress of a partition that we hold, else None."""
        with self._lock:
            return self._held.get(partition)

    def held(self) -> list[PartitionProgress]:
        with self._lock:
            return list(self._held.values())

    def committable(self) -> Offsets:
        """What is done and not yet committed."""
        return {p.partition: p.done for p in self.held() if p.done > p.committed}

    def committed(self, offsets: Offsets) -> None:
        """The broker has accepted `offsets`."""
        with self._lock:
            for partition, offset in offsets.items():
                progress = self._held.get(partition)
                if progress is not None:
                    progress.committed = max(progress.committed, offset)

    def _drop(self, partitions: Iterable[TopicPartition]) -> list[PartitionProgress]:
        with self._lock:
            self.rebalances += 1
            taken = [p for partition in partitions if (p := self._held.pop(partition, None)) is not None]
        for progress in taken:
            progress.revoked = True
        return taken
