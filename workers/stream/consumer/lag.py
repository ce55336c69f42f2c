"""How many messages are left in the log behind what is done, in the partitions that we hold."""

from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from labelstream.workers.stream.consumer.assignment import PartitionAssignment, PartitionProgress
from labelstream.workers.stream.consumer.corrupt_batches import Fetching


class Lag:
    """As far as `consumer` knows: never asks a broker. Used by the thread that polls.

    The end of a log is that of the last fetch; a paused partition's grows old.
    """

    def __init__(self, consumer: KafkaConsumer, fetching: Fetching, assignment: PartitionAssignment) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._fetching, self._assignment = fetching, assignment

    def by_partition(self) -> dict[int, tuple[int, int]]:
        """Messages in the log that are not done, and the log's end; without those that are not known."""
        return {
            progress.partition.partition: known
            for progress in self._assignment.assigned()
            if (known := self._lag_and_end(progress)) is not None
        }

    def behind(self, progress: PartitionProgress) -> int | None:
        """Messages in the log that are not done; None where the brokers have not told yet."""
        known = self._lag_and_end(progress)
        return None if known is None else known[0]

    def _lag_and_end(self, progress: PartitionProgress) -> tuple[int, int] | None:
        try:
            end = self._consumer.highwater(progress.partition)
        except KafkaError:  # taken away just now
            return None
        position = self._fetching.position(progress.partition)
        if end is None or position is None:
            return None
        # Control records, as those that end a transaction, are fetched but never received.
        done = progress.done if progress.done < progress.received else position
        return max(0, end - done), end
