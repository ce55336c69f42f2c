"""The group's offsets: committed behind what is done, and only while what we hold is ours."""

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
    """Commits with `consumer`, on the thread that polls it."""

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
        """Commit what is done, without waiting. A failed commit is made again by the next call.

        Raises `StreamError` when an earlier one failed for good.
        """
        if self._error is not None:
            raise StreamError(f"offsets cannot be committed ({type(self._error).__name__})")
        offsets = self._assignment.committable()
        if not offsets or self._is_stale():
            return
        began = self._clock()

        def finished(_: object, outcome: object) -> None:
            if isinstance(outcome, AuthorizationError | FencedInstanceIdError):
                self._error = outcome
            elif isinstance(outcome, Exception):
                logger.warning("commit failed, the next one repeats it (%s)", type(outcome).__name__)
            else:
                self._assignment.committed(offsets)
                self._stats.took("commit_s", self._clock() - began)

        self._consumer.commit_async(as_kafka(offsets, self._assignment.notes()), callback=finished)

    def commit_and_wait(self, timeout_ms: int) -> bool:
        """Commit what is done and wait for it. False when a rebalance is in the way: poll, then try again."""
        offsets = self._assignment.committable()
        if not offsets:
            return True
        if self._is_stale():
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
        """For a transaction's offsets: the broker refuses them once the generation has moved on.

        To be taken before one looks at what is held: the client sets a new generation first, and the assignment that
        came with it after that. None outside of the group, where a broker would take offsets without any check, and
        after a new join as long as anything is held from before the membership was lost: the new generation is right,
        and others have had these partitions.
        """
        metadata = self._consumer.group_metadata()
        member = metadata.generation_id >= 0 and metadata.member_id
        return metadata if member and not self._is_stale() else None

    def committed(self, partitions: Iterable[TopicPartition]) -> Offsets | None:
        """The group's offsets, where it has one. None when the brokers do not tell: poll, then try again."""
        try:
            return self._membership.committed(list(partitions), COMMITTED_MS)
        except KafkaError as error:
            logger.info("the offsets of the group cannot be read yet (%s)", type(error).__name__)
            return None

    def _is_stale(self) -> bool:
        return self._assignment.is_stale(self._membership.losses)
