"""A record to produce, with an upper bound of its size."""

from dataclasses import dataclass, field

RECORD_OVERHEAD = 128  # bytes: upper bound of the batch and record headers in Kafka's format v2
Headers = list[tuple[str, bytes]]


@dataclass(slots=True)
class ProducerRecord:
    """A record to produce. `partition` None: chosen by key. `timestamp_ms` None: the time of sending.

    `size`: upper bound of the uncompressed bytes of a record batch with this record alone.
    """

    value: bytes | None
    key: bytes | None
    headers: Headers
    partition: int | None = None
    timestamp_ms: int | None = None
    size: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        size = len(self.value or b"") + len(self.key or b"") + RECORD_OVERHEAD
        for name, value in self.headers:
            size += len(name) * 4 + len(value) + 10
        self.size = size


Encoded = tuple[ProducerRecord, str | None]  # a result and its topic; None: a rule drops the result
