"""A record to produce, with an upper bound of its size."""

from typing import NamedTuple

RECORD_OVERHEAD = 128  # bytes: upper bound of the batch and record headers in Kafka's format v2
Headers = list[tuple[str, bytes]]


class ProducerRecord(NamedTuple):
    """A record to produce. `partition` None: chosen by key. `timestamp_ms` None: the time of sending."""

    value: bytes | None
    key: bytes | None
    headers: Headers
    partition: int | None = None
    timestamp_ms: int | None = None

    def size(self) -> int:
        """Upper bound of the uncompressed bytes of a record batch with this record alone."""
        size = len(self.value or b"") + len(self.key or b"") + RECORD_OVERHEAD
        for name, value in self.headers:
            size += len(name) * 4 + len(value) + 10
        return size
