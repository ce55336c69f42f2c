"""Consumer lag of the assigned partitions: messages in the log that are not done."""

from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from labelstream.workers.stream.consumer.assignment import PartitionAssignment, PartitionProgress
from labelstream.workers.stream.consumer.fetching import Fetching


class Lag:
    """Uses what `consumer` knows and never asks a broker. Use from the thread that polls.

    The end of a log is that of the last fetch, so the lag of a paused partition is out of date.
    """

    def __init__(self, consumer: KafkaConsumer, fetching: Fetching, assignment: PartitionAssignment) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._fetching, self._assignment = fetching, assignment

    def by_partition(self) -> dict[str, tuple[int, int]]:
        """Return {TOPIC:PARTITION: (messages not done, end of the log)} for partitions where both are known."""
        return {
            progress.name: known
            for progress in self._assignment.assigned()
            if (known := self._lag_and_end(progress)) is not None
        }

    def behind(self, progress: PartitionProgress) -> int | None:
        """Return the messages in the log that are not done; None if unknown."""
        known = self._lag_and_end(progress)
        return None if known is None else known[0]

    def _lag_and_end(self, progress: PartitionProgress) -> tuple[int, int] | None:
        try:
            end = self._consumer.highwater(progress.partition)
        except KafkaError:  # the partition was revoked meanwhile
            return None
        position = self._fetching.position(progress.partition)
        if end is None or position is None:
            return None
        # The consumer fetches control records (transaction markers) but never returns them.
        done = progress.done if progress.done < progress.received else position
        return max(0, end - done), end
