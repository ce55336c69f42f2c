"""A record as kafka-python's fetcher takes it."""

from typing import Any

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.record_batch.unread import Unread

INT64 = 1 << 63
Headers = list[tuple[str, bytes | None]]


class Record:
    """`timestamp`: milliseconds since 1970, as Java counts them: in 64 bits, beyond which they begin anew."""

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
    """Stands for a record of which nothing but its place is known. `batch`: kafka-python's."""
    timestamp = batch.max_timestamp if batch.magic == 2 else batch.timestamp
    return Record(offset, timestamp, batch.timestamp_type, None, Unread(reason, problem), [], 0)


def placed(claimed: int, previous: int, max_offset: int) -> int:
    """A record's offset: what it says, where that is behind `previous` and up to `max_offset`; else the next one."""
    return claimed if previous < claimed <= max_offset else previous + 1
