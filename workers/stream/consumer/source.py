"""Records in: one consumer, used by one thread, that reads only what it is let to."""

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
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.consumer.assignment import Offsets, PartitionAssignment, PartitionProgress
from labelstream.workers.stream.consumer.corrupt_batches import CorruptBatch, Fetching
from labelstream.workers.stream.consumer.lag import Lag
from labelstream.workers.stream.consumer.membership import Membership
from labelstream.workers.stream.consumer.offset_committer import OffsetCommitter
from labelstream.workers.stream.consumer.skip import CorruptBatchSkip
from labelstream.workers.stream.consumer.start_offsets import GroupHistory, StartOffsets
from labelstream.workers.stream.crash_isolation.partition_hold import PartitionHold
from labelstream.workers.stream.crash_isolation.suspects import Lives
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)
JOIN_MS = 250  # of one poll; a join takes as many as it needs
Polled = list[tuple[PartitionProgress, list[ConsumerRecord]]]


class RecordSource:
    """Owns `consumer`, which must not have subscribed yet, and closes it.

    `history`, `lives`: of earlier consumers in this process, if any.
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
        self._membership = Membership(consumer, lambda: self.assignment.revoking_s() is not None)
        self._fetching = Fetching(consumer, settings.limits.max_batch_bytes)
        self._starting = StartOffsets(consumer, settings, self._membership, self._history)
        self.committer = OffsetCommitter(consumer, self._membership, self.assignment, self._stats)
        self.lag = Lag(consumer, self._fetching, self.assignment)
        self.corrupt_skip = CorruptBatchSkip(consumer, self.assignment)
        self.partition_hold = PartitionHold(
            consumer, self._membership, self._fetching, self.assignment, lives or Lives(), self.lag.behind
        )
        consumer.subscribe([settings.input], listener=self.assignment)

    def poll(
        self, timeout_ms: int, paused: bool, max_records: int | None = None, room: PollBudget | None = None
    ) -> Polled:
        """What came in, by partition; blocks up to `timeout_ms`. With `paused` it keeps the membership alive only.

        `max_records`: at most so many; None takes the pipeline's `max_poll_records`. `room`: at most what fits in it;
        the rest stays in what was fetched. A partition whose next batch is corrupt is halted; the others go on. What
        cannot be read of another batch are records with `Unread` values. While `alone` holds, nothing may be in flight
        or uncommitted, unless `paused`.

        Raises `OffsetOutOfRange`, or `StreamError` for whatever else the consumer cannot get over by itself.
        """
        assigned = self._consumer.assignment()
        if paused:
            self._consumer.pause(*assigned)
            self.partition_hold.suspects.wait()
        else:
            max_records = self._let_read(assigned, max_records)
        if self._membership.joining():
            timeout_ms = max(timeout_ms, JOIN_MS)
        self._fetching.room = room or PollBudget()
        try:
            polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        except NoOffsetForPartitionError as error:
            if not self._moved(self._starting.begin(list(error.args[0]))):
                time.sleep(timeout_ms / 1000)
            return []
        except OffsetOutOfRangeError as error:
            self._stats.add(offset_jumps=len(self._moved(self._starting.jump(dict(error.args[0])))))
            return []
        except KafkaError as error:
            raise StreamError(f"poll failed ({type(error).__name__}: {error})") from error
        # Until a join is through, we may hold something from before the membership was lost.
        if not self._membership.joining() and self.assignment.is_stale(self._membership.losses):
            raise StreamError("the group has counted this worker out while it was joining again")
        if not self._history.seen:
            self._history.seen = any(self._fetching.position(partition) is not None for partition in assigned)
        self._halt()
        self.partition_hold.begin()
        held = [(self.assignment.get(partition), records) for partition, records in polled.items()]
        mine = [(progress, records) for progress, records in held if progress is not None]
        for progress, records in mine:
            if not self.partition_hold.suspects.received(records[0].offset, len(records)):
                self._consumer.seek(progress.partition, records[0].offset)
                return []  # of one partition alone
            progress.receive(records[0].offset, records[-1].offset)
        return mine

    def alone(self) -> bool:
        """Is what comes next suspected of having killed earlier workers? Then it must be alone in this one."""
        return self.partition_hold.suspects.alone()

    def joining(self) -> bool:
        """Is a rebalance under way? Then the next poll should come at once."""
        return self._membership.joining()

    def halted(self) -> dict[TopicPartition, CorruptBatch]:
        """The partitions of ours that wait for an operator, and why."""
        return {progress.partition: progress.halted for progress in self.assignment.assigned() if progress.halted}

    def close(self, timeout_ms: int) -> None:
        """Leave the group."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout_ms)
        except KafkaError as error:
            logger.warning("closing the consumer: %s", type(error).__name__)

    def _let_read(self, assigned: set[TopicPartition], max_records: int | None) -> int | None:
        """Pause all but what may be read now, and tell how many records that may be; None: as many as usual."""
        readable, max_readable = self.partition_hold.suspects.readable()
        readable = (readable & assigned) - self.halted().keys()
        stopped = self._consumer.paused()
        self._consumer.pause(*(assigned - readable - stopped))
        self._consumer.resume(*(readable & stopped))
        return max_readable if max_records is None else min(max_records, max_readable or max_records)

    def _assigned(self, assigned: Collection[TopicPartition]) -> int:
        self._membership.forget_offsets()
        self.partition_hold.hold(assigned)
        return self._membership.losses

    def _moved(self, offsets: Offsets) -> Offsets:
        """They were committed by us: what was known of these partitions begins anew."""
        self.assignment.committed(offsets)
        self.partition_hold.suspects.begin_anew(offsets)
        return offsets

    def _halt(self) -> None:
        """Fetch no more of partitions whose next batch is corrupt."""
        while self._fetching.corrupt:
            partition, batch = self._fetching.corrupt.popitem()
            progress = self.assignment.get(partition)
            if progress is not None:
                progress.halted = batch
                with suppress(KeyError):  # taken away just now
                    self._consumer.pause(partition)
