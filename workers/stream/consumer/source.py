"""Record source: polls one consumer and returns records of the partitions that may be read now."""

import logging
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from labelstream.workers.errors import StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.assignment import Offsets, PartitionAssignment, PartitionProgress
from labelstream.workers.stream.consumer.fetching import CorruptBatch, Fetching
from labelstream.workers.stream.consumer.lag import Lag
from labelstream.workers.stream.consumer.membership import Membership
from labelstream.workers.stream.consumer.offset_committer import OffsetCommitter
from labelstream.workers.stream.consumer.skip import CorruptBatchSkip
from labelstream.workers.stream.consumer.start_offsets import GroupHistory, StartOffsets
from labelstream.workers.stream.consumer.subscription import Subscription
from labelstream.workers.stream.crash_isolation.partition_hold import PartitionHold
from labelstream.workers.stream.crash_isolation.suspects import Lives
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)
JOIN_MS = 250  # minimum timeout of a poll during a join; a join takes several polls
Polled = list[tuple[PartitionProgress, list[ConsumerRecord]]]


class RecordSource:
    """Owns and closes `consumer`, which must not have subscribed yet. Use from one thread.

    `history`, `lives`: state of earlier consumers in this process.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        settings: PipelineSettings,
        stats: Stats | None = None,
        history: GroupHistory | None = None,
        lives: Lives | None = None,
    ) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._stats, self._history = stats or Stats(), history or GroupHistory()
        self.assignment = PartitionAssignment(self._assigned)
        self._membership = Membership(consumer, self.assignment.revoking_s)
        self._fetching = Fetching(consumer, settings.limits.max_batch_bytes)
        self.committer = OffsetCommitter(consumer, self._membership, self.assignment, self._stats)
        self.lag = Lag(consumer, self._fetching, self.assignment)
        self.corrupt_skip = CorruptBatchSkip(consumer, self.assignment)
        self.partition_hold = PartitionHold(
            consumer, self._membership, self._fetching, self.assignment, lives or Lives(), self.lag.behind
        )
        self.subscription = Subscription(consumer, settings.inputs, self.assignment)
        self._starting = StartOffsets(
            consumer, settings, self._membership, self._history, lambda: self.subscription.topics
        )

    def poll(
        self, timeout_ms: int, paused: bool, max_records: int | None = None, room: PollBudget | None = None
    ) -> Polled:
        """Return the records received, by partition. Blocks for up to `timeout_ms`.

        `paused`: receive nothing and only stay in the group. `max_records`: None takes the pipeline's
        `max_poll_records`. `room`: byte limit; further records stay in the fetched batch.

        A corrupt batch halts its partition only. An unreadable record has an `Unread` value. While `alone()` is true,
        records may be in flight or uncommitted only if `paused`.

        Raises `OffsetOutOfRange`, or `StreamError` for other errors that the consumer cannot recover from.
        """
        assigned = self._consumer.assignment()
        if paused:
            self._consumer.pause(*assigned)
            self.partition_hold.suspects.wait()
        else:
            max_records = self._pause_unreadable(assigned, max_records)
        if self._membership.joining():
            timeout_ms = max(timeout_ms, JOIN_MS)
        self._fetching.room = room or PollBudget()
        try:
            polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        except NoOffsetForPartitionError as error:
            if not self._begin_anew(self._starting.begin(list(error.args[0]))):
                time.sleep(timeout_ms / 1000)
            return []
        except OffsetOutOfRangeError as error:
            # Not of a topic that was deleted and created again, whose old partitions this worker still has to release.
            lost = {place: offset for place, offset in error.args[0].items() if self.assignment.get(place) is not None}
            if lost:
                self._stats.add(offset_jumps=len(self._begin_anew(self._starting.jump(lost))))
            return []
        except KafkaError as error:
            raise StreamError(f"poll failed ({type(error).__name__}: {error})") from error
        # During a join, partitions of a lost membership may still be assigned.
        if not self._membership.joining() and self.assignment.is_stale(self._membership.losses):
            raise StreamError("the group removed this worker while it was rejoining")
        if self.subscription.deleted:
            self.subscription.release()
        topics = self.subscription.topics
        if not topics or topics - self._history.seen:
            self._note_history(assigned, topics)
        if self._fetching.corrupt:
            self._halt_corrupt()
        held = {progress.partition: progress for progress in self.assignment.assigned()}
        self.partition_hold.begin(held.values())
        assigned_records = [(held[partition], records) for partition, records in polled.items() if partition in held]
        for progress, records in assigned_records:
            if not self.partition_hold.suspects.received(records[0].offset, len(records)):
                self._consumer.seek(progress.partition, records[0].offset)
                return []  # only one partition was read
            progress.receive(records[0].offset, records[-1].offset)
        return assigned_records

    def alone(self) -> bool:
        """Is the next record suspected of having killed earlier workers? Such a record must be alone in flight."""
        return self.partition_hold.suspects.alone()

    def is_member(self) -> bool:
        """Has this worker joined the group? A member without partitions waits as a spare."""
        return bool(self.assignment.assigned()) or not self._membership.joining()

    def joining(self) -> bool:
        """Is a rebalance in progress? Then poll again at once."""
        return self._membership.joining()

    def halted(self) -> dict[TopicPartition, CorruptBatch]:
        """Return the assigned partitions that wait for an operator, with their corrupt batches."""
        return {progress.partition: progress.halted for progress in self.assignment.assigned() if progress.halted}

    def close(self, timeout_ms: int) -> None:
        """Leave the group and close the consumer."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout_ms)
        except KafkaError as error:
            logger.warning("closing the consumer failed (%s)", type(error).__name__)

    def _pause_unreadable(self, assigned: set[TopicPartition], max_records: int | None) -> int | None:
        """Pause all partitions that may not be read now. Returns the most records to poll; None: no extra limit."""
        halted = self.halted()
        readable, max_readable = self.partition_hold.suspects.readable()
        readable = (readable & assigned) - halted.keys()
        stopped = self._consumer.paused()
        self._consumer.pause(*(assigned - readable - stopped))
        self._consumer.resume(*(readable & stopped))
        return max_readable if max_records is None else min(max_records, max_readable or max_records)

    def _assigned(self, assigned: Collection[TopicPartition]) -> int:
        self._membership.forget_offsets()
        self.partition_hold.hold(assigned)
        return self._membership.losses

    def _note_history(self, assigned: set[TopicPartition], topics: Collection[str]) -> None:
        history = self._history
        if not topics:
            # A member has fresh metadata; before the join a slow answer is no missing topic.
            history.waited = history.waited or (self.is_member() and self.subscription.waits())
        else:
            known = {partition for partition in assigned if self._fetching.position(partition) is not None}
            history.seen |= {partition.topic for partition in known}

    def _begin_anew(self, offsets: Offsets) -> Offsets:
        """Forget the old progress of partitions whose `offsets` this worker has just committed."""
        self.assignment.committed(offsets)
        self.partition_hold.suspects.begin_anew(offsets)
        return offsets

    def _halt_corrupt(self) -> None:
        """Pause partitions whose next batch is corrupt."""
        while self._fetching.corrupt:
            partition, batch = self._fetching.corrupt.popitem()
            progress = self.assignment.get(partition)
            if progress is not None:
                progress.halted = batch
                with suppress(KeyError):  # revoked meanwhile
                    self._consumer.pause(partition)
