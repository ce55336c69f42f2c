"""Record class with the attributes that kafka-python's fetcher expects."""

from typing import Any

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.record_batch.unread import Unread

INT64 = 1 << 63
Headers = list[tuple[str, bytes | None]]


class Record:
    """`timestamp`: milliseconds since 1970; wraps around at 64 bits, as in Java."""

    __slots__ = ("headers", "key", "offset", "size_in_bytes", "timestamp", "timestamp_type", "value")
    checksum = None

    def __init__(
        self,
        offset: int,
        timestamp: int,
        timestamp_type: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        size_in_bytes: int,
    ) -> None:
        self.offset, self.timestamp_type, self.key, self.value = offset, timestamp_type, key, value
        self.timestamp = timestamp if -INT64 <= timestamp < INT64 else (timestamp + INT64) % (2 * INT64) - INT64
        self.headers, self.size_in_bytes = headers, size_in_bytes

    def validate_crc(self) -> bool:
        return True


def unread(offset: int, batch: Any, reason: Reason, problem: str) -> Record:
    """A record whose content is unreadable. `batch`: kafka-python's batch."""
    timestamp = batch.max_timestamp if batch.magic == 2 else batch.timestamp
    return Record(offset, timestamp, batch.timestamp_type, None, Unread(reason, problem), [], 0)


def placed(claimed: int, previous: int, max_offset: int) -> int:
    """The record's offset: `claimed` if between `previous` and `max_offset`, else `previous` + 1."""
    return claimed if previous < claimed <= max_offset else previous + 1
