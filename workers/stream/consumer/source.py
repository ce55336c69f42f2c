"""Records in: one consumer, used by one thread, that commits only what it is told to."""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    FencedInstanceIdError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
)
from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused, OffsetOutOfRange, StreamError
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.consumer.assignment import (
    Offsets,
    PartitionAssignment,
    PartitionProgress,
    as_kafka,
    log_fields,
)
from labelstream.workers.stream.consumer.corrupt_batches import CorruptBatch, Fetching
from labelstream.workers.stream.consumer.membership import Membership
from labelstream.workers.stream.consumer.start_offsets import GroupHistory, StartOffsets
from labelstream.workers.stream.crash_isolation.partition_hold import PartitionHold
from labelstream.workers.stream.crash_isolation.suspects import Lives
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)
COMMITTED_MS = 1_000
SKIP_MS = 5_000  # of each of the two requests that a skip needs
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
        self._settings, self._stats = settings, stats or Stats()
        self._commit_error: Exception | None = None
        self._membership = Membership(consumer, lambda: self.assignment.leaving_s() is not None)
        self._fetching = Fetching(consumer, settings.limits.max_batch_bytes)
        self._history = history or GroupHistory()
        self._starting = StartOffsets(consumer, settings, self._membership, self._history)
        self.assignment = PartitionAssignment(self._assigned)
        self.beginning = PartitionHold(
            consumer, self._membership, self._fetching, self.assignment, lives or Lives(), self.behind
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
            self.beginning.caution.wait()
        else:
            max_records = self._let_read(assigned, max_records)
        if self._membership.joining():
            timeout_ms = max(timeout_ms, JOIN_MS)
        self._fetching.room = room or PollBudget()
        try:
            polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        except NoOffsetForPartitionError as error:
            self._begin(list(error.args[0]), timeout_ms)
            return []
        except OffsetOutOfRangeError as error:
            self._out_of_range(dict(error.args[0]))
            return []
        except KafkaError as error:
            raise StreamError(f"poll failed ({type(error).__name__}: {error})") from error
        if not self._membership.joining() and self._outlived():
            raise StreamError("the group has counted this worker out while it was joining again")
        if not self._history.seen:
            self._history.seen = any(self._fetching.position(partition) is not None for partition in assigned)
        self._halt()
        self.beginning.begin()
        held = [(self.assignment.get(partition), records) for partition, records in polled.items()]
        mine = [(progress, records) for progress, records in held if progress is not None]
        for progress, records in mine:
            if not self.beginning.caution.received(records[0].offset, len(records)):
                self._consumer.seek(progress.partition, records[0].offset)
                return []  # of one partition alone
            progress.receive(records[0].offset, records[-1].offset)
        return mine

    def alone(self) -> bool:
        """Is what comes next suspected of having killed earlier workers? Then it must be alone in this one."""
        return self.beginning.caution.alone()

    def _let_read(self, assigned: set[TopicPartition], max_records: int | None) -> int | None:
        """Pause all but what may be read now, and tell how many records that may be; None: as many as usual."""
        readable, max_readable = self.beginning.caution.readable()
        readable = (readable & assigned) - self.halted().keys()
        stopped = self._consumer.paused()
        self._consumer.pause(*(assigned - readable - stopped))
        self._consumer.resume(*(readable & stopped))
        return max_readable if max_records is None else min(max_records, max_readable or max_records)

    def _outlived(self) -> bool:
        """Do we hold anything from before the membership was lost? Until a join is through, that may be so."""
        return self.assignment.outlived(self._membership.losses)

    def _assigned(self, assigned: Collection[TopicPartition]) -> int:
        self._membership.forget_offsets()
        self.beginning.hold(assigned)
        return self._membership.losses

    def joining(self) -> bool:
        """Is a rebalance under way? Then the next poll should come at once."""
        return self._membership.joining()

    def commit(self) -> None:
        """Commit what is done, without waiting. A failed commit is made again by the next call.

        Raises `StreamError` when an earlier one failed for good.
        """
        if self._commit_error is not None:
            raise StreamError(f"offsets cannot be committed ({type(self._commit_error).__name__})")
        offsets = self.assignment.committable()
        if offsets and not self._outlived():
            self._commit_soon(offsets)

    def commit_and_wait(self, timeout_ms: int) -> bool:
        """Commit what is done and wait for it. False when a rebalance is in the way: poll, then try again."""
        offsets = self.assignment.committable()
        if not offsets:
            return True
        if self._outlived():
            return False
        try:
            self._consumer.commit(as_kafka(offsets, self.assignment.notes()), timeout_ms=timeout_ms)
        except (CommitFailedError, RebalanceInProgressError):
            return False
        except KafkaError as error:
            raise StreamError(f"commit failed ({type(error).__name__}: {error})") from error
        self.assignment.committed(offsets)
        return True

    def membership(self) -> Any:
        """The group metadata for a transaction's offsets: the broker refuses them once the generation has moved on.

        To be taken before one looks at what is held: the client sets a new generation first, and the assignment that
        came with it after that. None outside of the group, where a broker would take offsets without any check, and
        after a new join as long as anything is held from before the membership was lost: the new generation is right,
        and others have had these partitions.
        """
        metadata = self._consumer.group_metadata()
        member = metadata.generation_id >= 0 and metadata.member_id
        return metadata if member and not self._outlived() else None

    def committed(self, partitions: Iterable[TopicPartition]) -> Offsets | None:
        """The group's offsets, where it has one. None when the brokers do not tell: poll, then try again."""
        try:
            return self._membership.committed(list(partitions), COMMITTED_MS)
        except KafkaError as error:
            logger.info("the offsets of the group cannot be read yet (%s)", type(error).__name__)
            return None

    def backlog(self) -> dict[int, tuple[int, int]]:
        """By partition that we hold: messages in the log that are not done, and the log's end, as far as known.

        The end is that of the last fetch; a paused partition's grows old.
        """
        return {
            progress.partition.partition: standing
            for progress in self.assignment.held()
            if (standing := self._standing(progress)) is not None
        }

    def behind(self, progress: PartitionProgress) -> int | None:
        """Messages in the log that are not done; None where the brokers have not told yet."""
        standing = self._standing(progress)
        return None if standing is None else standing[0]

    def _standing(self, progress: PartitionProgress) -> tuple[int, int] | None:
        """As in `backlog`; None where the brokers have not told yet."""
        try:
            high = self._consumer.highwater(progress.partition)
        except KafkaError:  # taken away just now
            return None
        position = self._fetching.position(progress.partition)
        if high is None or position is None:
            return None
        # Control records, as those that end a transaction, are fetched but never received.
        done = progress.done if progress.done < progress.received else position
        return max(0, high - done), high

    def halted(self) -> dict[TopicPartition, CorruptBatch]:
        """The partitions of ours that wait for an operator, and why."""
        return {progress.partition: progress.halted for progress in self.assignment.held() if progress.halted}

    def to_be_skipped(self, partition: TopicPartition, offset: int) -> PartitionProgress:
        """The progress of a halted partition, which may go on at `offset`. Raises `CommandRefused`."""
        place = f"{partition.topic}:{partition.partition}"
        progress = self.assignment.get(partition)
        if progress is None:
            raise CommandRefused(f"{place} is not held here", ours=False)
        if progress.halted is None:
            raise CommandRefused(f"{place} is not halted: nothing is skipped")
        first = progress.halted.end or progress.halted.first + 1
        if offset < first:
            raise CommandRefused(f"{place}:{offset} is not behind the corrupt batch: the first offset there is {first}")
        return progress

    def skip(self, progress: PartitionProgress, offset: int) -> int:
        """Go on with a halted partition at `offset`, which is committed first. How many offsets are left out.

        Nothing of the partition may be in flight or uncommitted. Waits for the brokers. Raises `CommandRefused`.
        """
        partition, batch = progress.partition, progress.halted
        assert batch is not None
        place = f"{partition.topic}:{partition.partition}"
        try:
            end = self._consumer.end_offsets([partition], timeout_ms=SKIP_MS)[partition]
            if offset > end:
                raise CommandRefused(f"{place}:{offset} is behind the end of the log, {end}")
            self._consumer.commit(as_kafka({partition: offset}), timeout_ms=SKIP_MS)
        except KafkaError as error:
            raise CommandRefused(
                f"{place}: the offset could not be committed ({type(error).__name__}); try again"
            ) from error
        logger.error(
            "%s: offsets %d to %d are skipped by an operator's command; the batch there is corrupt (%s)",
            place,
            batch.first,
            offset - 1,
            batch.problem,
            extra=log_fields(partition, batch.first),
        )
        progress.skip_to(offset)
        with suppress(ValueError):  # taken away just now: the next owner goes on there
            self._consumer.seek(partition, offset)
        return offset - batch.first

    def close(self, timeout_ms: int) -> None:
        """Leave the group."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout_ms)
        except KafkaError as error:
            logger.warning("closing the consumer: %s", type(error).__name__)

    def _halt(self) -> None:
        """Fetch no more of partitions whose next batch is corrupt."""
        while self._fetching.corrupt:
            partition, batch = self._fetching.corrupt.popitem()
            progress = self.assignment.get(partition)
            if progress is not None:
                progress.halted = batch
                with suppress(KeyError):  # taken away just now
                    self._consumer.pause(partition)

    def _begin(self, missing: list[TopicPartition], timeout_ms: int) -> None:
        """Give `missing` an offset; when that has to wait, so long."""
        offsets = self._moved(lambda: self._starting.begin(missing))
        if not offsets:
            time.sleep(timeout_ms / 1000)

    def _out_of_range(self, offsets: Offsets) -> None:
        """Raises `OffsetOutOfRange`, or goes on where `on_offset_out_of_range` says."""
        policy = self._settings.on_offset_out_of_range
        if policy == "fail":
            where = ", ".join(f"{p.topic}:{p.partition}:{offset}" for p, offset in offsets.items())
            raise OffsetOutOfRange(
                f"{where} is no longer in the log: messages were deleted before they were "
                "classified; set the group's offset with `labelstream replay`, then start again"
            )
        self._stats.add(offset_jumps=len(self._moved(lambda: self._starting.jump(offsets, policy))))

    def _moved(self, move: Callable[[], Offsets]) -> Offsets:
        """The offsets that `move` has committed."""
        try:
            offsets = move()
        except KafkaError as error:
            raise StreamError(f"no start offset ({type(error).__name__}: {error})") from error
        self.assignment.committed(offsets)
        self.beginning.caution.begin_anew(offsets)
        return offsets

    def _commit_soon(self, offsets: Offsets) -> None:
        began = time.monotonic()

        def finished(_: object, outcome: object) -> None:
            if isinstance(outcome, AuthorizationError | FencedInstanceIdError):
                self._commit_error = outcome
            elif isinstance(outcome, Exception):
                logger.warning("commit failed, the next one repeats it (%s)", type(outcome).__name__)
            else:
                self.assignment.committed(offsets)
                self._stats.took("commit_s", time.monotonic() - began)

        self._consumer.commit_async(as_kafka(offsets, self.assignment.notes()), callback=finished)
