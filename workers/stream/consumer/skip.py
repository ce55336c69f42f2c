"""An operator lets a halted partition go on behind its corrupt batch."""

import logging
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused
from labelstream.workers.stream.consumer.assignment import PartitionAssignment, PartitionProgress, as_kafka, log_fields

logger = logging.getLogger(__name__)
REQUEST_MS = 5_000  # of each of the two requests that a skip needs


class CorruptBatchSkip:
    """Moves `consumer`, on the thread that polls it."""

    def __init__(self, consumer: KafkaConsumer, assignment: PartitionAssignment) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._assignment = assignment

    def check(self, partition: TopicPartition, offset: int) -> PartitionProgress:
        """The progress of a halted partition, which may go on at `offset`. Raises `CommandRefused`."""
        place = f"{partition.topic}:{partition.partition}"
        progress = self._assignment.get(partition)
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
            end = self._consumer.end_offsets([partition], timeout_ms=REQUEST_MS)[partition]
            if offset > end:
                raise CommandRefused(f"{place}:{offset} is behind the end of the log, {end}")
            self._consumer.commit(as_kafka({partition: offset}), timeout_ms=REQUEST_MS)
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
