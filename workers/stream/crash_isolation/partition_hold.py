"""Hold assigned partitions back until their crash notes are read, and commit notes for `SuspectRecords`."""

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import CommitFailedError, KafkaError, KafkaTimeoutError, RebalanceInProgressError
from kafka.structs import TopicPartition

from labelstream.workers.errors import LabelstreamError, StreamError
from labelstream.workers.stream.consumer.assignment import Notes, PartitionAssignment, PartitionProgress, as_kafka
from labelstream.workers.stream.consumer.fetching import Fetching
from labelstream.workers.stream.consumer.membership import Membership
from labelstream.workers.stream.crash_isolation.suspects import Lives, SuspectRecords

logger = logging.getLogger(__name__)
REQUEST_MS = 5_000  # timeout of each request


class PartitionHold:
    """Use from the thread that polls `consumer`, except `hold`. `lives` belongs to the worker."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        membership: Membership,
        fetching: Fetching,
        assignment: PartitionAssignment,
        lives: Lives,
        behind: Callable[[PartitionProgress], int | None],
    ) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._membership, self._fetching, self._assignment = membership, fetching, assignment
        self.suspects = SuspectRecords(assignment, lives, self._note, behind)

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Pause new partitions, so that the poll that assigns them returns no records. Thread-safe."""
        for partition in partitions:
            with suppress(KeyError):  # revoked meanwhile
                self._consumer.pause(partition)

    def begin(self, assigned: Collection[PartitionProgress]) -> None:
        """Read the crash notes of the new ones of all `assigned` partitions; call after each poll."""
        fresh = {
            progress.partition: (progress, position)
            for progress in self.suspects.fresh(assigned)
            if (position := self._fetching.position(progress.partition)) is not None
        }
        if not fresh or self._membership.joining():
            return
        try:
            notes = self._membership.notes(fresh, REQUEST_MS)
            suspects = [place for place, (_, text) in notes.items() if self.suspects.evidence(place, text)]
            ends = self._consumer.end_offsets(suspects, timeout_ms=REQUEST_MS) if suspects else {}
        except KafkaTimeoutError:
            logger.info("crash notes of earlier workers cannot be read yet; retrying")
            return
        except KafkaError as error:
            raise StreamError(f"no committed offsets ({type(error).__name__}: {error})") from error
        for place, (progress, position) in fresh.items():
            offset, text = notes.get(place, (position, ""))
            self.suspects.begin(progress, offset, text, max(0, ends.get(place, 0) - offset))

    def release(self) -> None:
        """Take notes back and give revoked partitions up, so that the next owner does not count a death."""
        self.suspects.take_back(self._assignment.revoking())
        self._assignment.release()

    def take_back(self) -> None:
        """Take all notes back at an orderly end, so that no worker counts a death. Raises nothing."""
        try:
            self.suspects.take_back([*self._assignment.assigned(), *self._assignment.revoking()])
        except StreamError as error:
            logger.info("the crash notes of this worker could not be taken back (%s)", error)

    def on_exit(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Take notes back if a run ends with an error that a person must fix: no record caused the error."""
        if isinstance(error, LabelstreamError) and not error.retriable:
            self.take_back()

    def _note(self, notes: Notes) -> bool:
        """Commit offsets again with other metadata. False during a rebalance. Raises `StreamError`."""
        if self._assignment.is_stale(self._membership.losses):
            return False
        offsets = {partition: offset for partition, (offset, _) in notes.items()}
        texts = {partition: text for partition, (_, text) in notes.items()}
        try:
            self._consumer.commit(as_kafka(offsets, texts), timeout_ms=REQUEST_MS)
        except (CommitFailedError, RebalanceInProgressError, KafkaTimeoutError):
            return False
        except KafkaError as error:
            raise StreamError(f"commit failed ({type(error).__name__}: {error})") from error
        self._assignment.noted(notes)
        return True
