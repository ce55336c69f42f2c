"""Skip a corrupt batch: resume a halted partition behind the batch at an operator's command."""

import logging
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused
from labelstream.workers.stream.consumer.assignment import PartitionAssignment, PartitionProgress, as_kafka, log_fields

logger = logging.getLogger(__name__)
REQUEST_MS = 5_000  # timeout of each of a skip's two requests


class CorruptBatchSkip:
    """Seeks and commits with `consumer`. Use from the thread that polls."""

    def __init__(self, consumer: KafkaConsumer, assignment: PartitionAssignment) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._assignment = assignment

    def check(self, partition: TopicPartition, offset: int) -> PartitionProgress:
        """Return the progress of the halted partition. Raises `CommandRefused` if it cannot resume at `offset`."""
        place = f"{partition.topic}:{partition.partition}"
        progress = self._assignment.get(partition)
        if progress is None:
            raise CommandRefused(f"{place} is not assigned to this worker", ours=False)
        if progress.halted is None:
            raise CommandRefused(f"{place} is not halted: nothing to skip")
        first = progress.halted.end or progress.halted.first + 1
        if offset < first:
            raise CommandRefused(f"{place}:{offset} is inside the corrupt batch: the first offset behind it is {first}")
        return progress

    def skip(self, progress: PartitionProgress, offset: int) -> int:
        """Commit `offset` and resume the halted partition there. Returns how many offsets are skipped.

        The partition must have no records in flight or uncommitted. Waits for the brokers. Raises `CommandRefused`.
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
            "%s: an operator skipped offsets %d to %d: the batch there is corrupt (%s)",
            place,
            batch.first,
            offset - 1,
            batch.problem,
            extra=log_fields(partition, batch.first),
        )
        progress.skip_to(offset)
        with suppress(ValueError):  # revoked meanwhile: the next owner starts at the committed offset
            self._consumer.seek(partition, offset)
        return offset - batch.first
