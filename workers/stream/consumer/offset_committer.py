"""Commit the consumer group's offsets: only acknowledged records of partitions that this worker still owns."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    FencedInstanceIdError,
    KafkaError,
    RebalanceInProgressError,
)
from kafka.structs import TopicPartition

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.consumer.assignment import Offsets, PartitionAssignment, as_kafka
from labelstream.workers.stream.consumer.membership import Membership
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)
COMMITTED_MS = 1_000


class OffsetCommitter:
    """Commits with `consumer`. Use from the thread that polls."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        membership: Membership,
        assignment: PartitionAssignment,
        stats: Stats,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._membership, self._assignment, self._stats, self._clock = membership, assignment, stats, clock
        self._error: Exception | None = None

    def commit(self) -> None:
        """Commit done offsets without waiting. The next call repeats a failed commit.

        Raises `StreamError` if an earlier commit failed with an error that is not retriable.
        """
        if self._error is not None:
            raise StreamError(f"offsets cannot be committed ({type(self._error).__name__}); check the group's rights")
        offsets = self._assignment.committable()
        if not offsets or self._assignment.is_stale(self._membership.losses):
            return
        began = self._clock()

        def finished(_: object, outcome: object) -> None:
            if isinstance(outcome, AuthorizationError | FencedInstanceIdError):
                self._error = outcome
            elif isinstance(outcome, Exception):
                logger.warning("commit failed (%s); the next commit repeats it", type(outcome).__name__)
            else:
                self._assignment.committed(offsets)
                self._stats.took("commit_s", self._clock() - began)

        self._consumer.commit_async(as_kafka(offsets, self._assignment.notes()), callback=finished)

    def commit_and_wait(self, timeout_ms: int) -> bool:
        """Commit done offsets and wait. Returns False during a rebalance: poll, then retry. Raises `StreamError`."""
        offsets = self._assignment.committable()
        if not offsets:
            return True
        if self._assignment.is_stale(self._membership.losses):
            return False
        try:
            self._consumer.commit(as_kafka(offsets, self._assignment.notes()), timeout_ms=timeout_ms)
        except (CommitFailedError, RebalanceInProgressError):
            return False
        except KafkaError as error:
            raise StreamError(f"commit failed ({type(error).__name__}: {error})") from error
        self._assignment.committed(offsets)
        return True

    def group_metadata(self) -> Any:
        """Return the group metadata for a transaction's offsets: the broker refuses them after a new generation.

        Call this before reading the assignment: the client sets a new generation first, its assignment afterwards.
        Returns None outside the group, where a broker would accept any offsets. Returns None after a rejoin while
        partitions of the lost membership are still assigned: other members may have owned them in between.
        """
        metadata = self._consumer.group_metadata()
        member = metadata.generation_id >= 0 and metadata.member_id
        return metadata if member and not self._assignment.is_stale(self._membership.losses) else None

    def committed(self, partitions: Iterable[TopicPartition]) -> Offsets | None:
        """Return the group's committed offsets where they exist. None if no broker answers: poll, then retry."""
        try:
            return self._membership.committed(list(partitions), COMMITTED_MS)
        except KafkaError as error:
            logger.info("the group's offsets cannot be read yet (%s); retrying", type(error).__name__)
            return None
