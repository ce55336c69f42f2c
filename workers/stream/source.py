"""Records in: one consumer, used by one thread, that commits only what it is told to."""

import logging
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
from kafka.structs import OffsetAndMetadata, TopicPartition

from workers.errors import OffsetOutOfRange, StreamError
from workers.settings import PipelineSettings
from workers.stream.membership import Membership
from workers.stream.offsets import Offsets, Ownership, PartitionProgress

log = logging.getLogger(__name__)
JOIN_MS = 250  # of one poll; a join takes as many as it needs
Polled = list[tuple[PartitionProgress, list[ConsumerRecord]]]


class RecordSource:
    """Owns `consumer`, which must not have subscribed yet, and closes it."""

    def __init__(self, consumer: KafkaConsumer, settings: PipelineSettings) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._settings = settings
        self._commit_error: Exception | None = None
        self._membership = Membership(consumer)
        self.ownership = Ownership()
        consumer.subscribe([settings.input], listener=self.ownership)

    def poll(self, timeout_ms: int, paused: bool, max_records: int | None = None) -> Polled:
        """What came in, by partition; blocks up to `timeout_ms`. With `paused` it keeps the membership alive only.

        `max_records`: at most so many; None takes the pipeline's `max_poll_records`.

        Raises `OffsetOutOfRange`, or `StreamError` for whatever else the consumer cannot get over by itself.
        """
        assigned = self._consumer.assignment()
        if paused:
            self._consumer.pause(*assigned)
        elif stopped := self._consumer.paused():
            self._consumer.resume(*(stopped & assigned))
        if self._membership.joining():
            timeout_ms = max(timeout_ms, JOIN_MS)
        try:
            polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        except NoOffsetForPartitionError as error:
            self._start_from(list(error.args[0]))
            return []
        except OffsetOutOfRangeError as error:
            where = ", ".join(f"{p.topic}:{p.partition}:{offset}" for p, offset in dict(error.args[0]).items())
            raise OffsetOutOfRange(f"{where} is no longer in the log: messages were deleted before they were "
                                   "classified; set the group's offset, then start again") from error
        except KafkaError as error:
            raise StreamError(f"poll failed ({type(error).__name__}: {error})") from error
        held = [(self.ownership.get(partition), records) for partition, records in polled.items()]
        mine = [(progress, records) for progress, records in held if progress is not None]
        for progress, records in mine:
            progress.receive(records[0].offset, records[-1].offset)
        return mine

    def joining(self) -> bool:
        """Is a rebalance under way? Then the next poll should come at once."""
        return self._membership.joining()

    def commit(self) -> None:
        """Commit what is done, without waiting. A failed commit is made again by the next call.

        Raises `StreamError` when an earlier one failed for good.
        """
        if self._commit_error is not None:
            raise StreamError(f"offsets cannot be committed ({type(self._commit_error).__name__})")
        offsets = self.ownership.committable()
        if offsets:
            self._commit_soon(offsets)

    def commit_and_wait(self, timeout_ms: int) -> bool:
        """Commit what is done and wait for it. False when a rebalance is in the way: poll, then try again."""
        offsets = self.ownership.committable()
        if not offsets:
            return True
        try:
            self._consumer.commit(as_kafka(offsets), timeout_ms=timeout_ms)
        except (CommitFailedError, RebalanceInProgressError):
            return False
        except KafkaError as error:
            raise StreamError(f"commit failed ({type(error).__name__}: {error})") from error
        self.ownership.committed(offsets)
        return True

    def membership(self) -> Any:
        """The group metadata for a transaction's offsets: the broker refuses them once the generation has moved on.

        To be taken before one looks at what is held: the client sets a new generation first, and the assignment that
        came with it after that. None outside of the group, where a broker would take offsets without any check.
        """
        metadata = self._consumer.group_metadata()
        return metadata if metadata.generation_id >= 0 and metadata.member_id else None

    def lag(self) -> int:
        """Messages in the log that are not done, over the partitions that we hold, as far as known."""
        total = 0
        for progress in self.ownership.held():
            try:
                high = self._consumer.highwater(progress.partition)
            except KafkaError:  # taken away just now
                continue
            if high is not None and progress.received >= 0:
                total += max(0, high - progress.done)
        return total

    def close(self, timeout_ms: int) -> None:
        """Leave the group."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout_ms)
        except KafkaError as error:
            log.warning("closing the consumer: %s", type(error).__name__)

    def _start_from(self, partitions: list[TopicPartition]) -> None:
        """A group's first sight of a partition: `start_from`, committed at once so that a restart does not move it.

        Kafka's own reset policy is off: it would also jump over lost messages when an offset is out of range.
        """
        earliest = self._settings.start_from == "earliest"
        find = self._consumer.beginning_offsets if earliest else self._consumer.end_offsets
        try:
            offsets = find(partitions)
            for partition, offset in offsets.items():
                self._consumer.seek(partition, offset)
            self._commit_soon(offsets)
        except KafkaError as error:
            raise StreamError(f"no start offset ({type(error).__name__}: {error})") from error
        except ValueError:
            log.info("a partition was taken away before it was started")

    def _commit_soon(self, offsets: Offsets) -> None:
        def finished(_: object, outcome: object) -> None:
            if isinstance(outcome, AuthorizationError | FencedInstanceIdError):
                self._commit_error = outcome
            elif isinstance(outcome, Exception):
                log.warning("commit failed, the next one repeats it (%s)", type(outcome).__name__)
            else:
                self.ownership.committed(offsets)

        self._consumer.commit_async(as_kafka(offsets), callback=finished)


def as_kafka(offsets: Offsets) -> dict[TopicPartition, OffsetAndMetadata]:
    """Offsets in the client's own type."""
    return {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
