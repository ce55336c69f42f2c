"""Message sets of Kafka's formats v0 and v1, which today's brokers keep and serve but take no more.

A set is one message, or a compressed one whose value holds the others. Their offsets stand in it (v0), or count from
its first one (v1), while its own offset is that of the last.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any

from kafka.record.util import calc_crc32

from schemas.dead_letter import Reason
from workers.stream.inflate import inflate
from workers.stream.record import Record, placed, unread

CODEC_MASK = 0x07
OVERHEAD, LEAST_BYTES = 12, 14  # offset and length in front of a message; the shortest one
NO_TIMESTAMP = -1
Message = tuple[int, bytes]  # its offset, and its bytes from the checksum on


class LegacyBatch:
    """`position`: gives the offset that is to be read next."""

    def __init__(self, batch: Any, limit: int, position: Callable[[], int]) -> None:
        self._batch, self._limit, self._position = batch, limit, position
        self.last_offset, self.next_offset = batch.base_offset, batch.base_offset + 1
        self.timestamp = NO_TIMESTAMP if batch._timestamp is None else batch._timestamp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def consistent(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Record]:
        position = self._position()
        try:
            inner, reason, problem = self._messages()
        except (struct.error, ValueError):
            inner, reason, problem = [], Reason.INVALID_RECORD, "its message set is none"
        if reason is not None or not inner:  # how many there are, it does not say
            for offset in range(min(position, self.last_offset), self.next_offset):
                yield unread(offset, self, reason or Reason.INVALID_RECORD, problem or "its message set is empty")
            return
        # Relative offsets end with the last one's.
        base = self.last_offset - inner[-1][0] if self.magic == 1 else 0
        previous = -1
        for left, (offset, message) in zip(range(len(inner) - 1, -1, -1), inner, strict=True):
            previous = placed(base + offset, previous, self.last_offset - left)
            yield self._record(previous, message)

    def _messages(self) -> tuple[list[Message], Reason | None, str]:
        """Raises struct.error or ValueError."""
        whole = bytes(self._batch._buffer)
        if not self.compression_type:
            return [(self.last_offset, whole[OVERHEAD:])], None, ""
        _, _, value = _read(whole[OVERHEAD:])
        data, reason, problem = inflate(self.compression_type, value or b"", self._limit)
        return [] if reason else list(_cut(data)), reason, problem

    def _record(self, offset: int, message: bytes) -> Record:
        try:
            if struct.unpack_from(">I", message)[0] != calc_crc32(memoryview(message)[4:]):
                raise ValueError("its checksum is wrong")
            if self.compression_type and message[5] & CODEC_MASK:
                raise ValueError("a set within a set")
            timestamp, key, value = _read(message)
        except (struct.error, ValueError):
            problem = "its checksum or its lengths are wrong, or it is a set itself"
            return unread(offset, self, Reason.INVALID_RECORD, problem)
        if self.timestamp_type == 1:  # the broker's, which stands in the set alone
            timestamp = self.timestamp
        return Record(offset, timestamp, self.timestamp_type, key, value, [], len(message))


def _cut(data: bytes) -> Iterator[Message]:
    at = 0
    while at < len(data):
        offset, length = struct.unpack_from(">qi", data, at)
        at += OVERHEAD
        if length < LEAST_BYTES or at + length > len(data):
            raise ValueError("a length that is none")
        yield offset, data[at : at + length]
        at += length


def _read(message: bytes) -> tuple[int, bytes | None, bytes | None]:
    """Timestamp, key and value. Raises struct.error or ValueError where its lengths lie."""
    magic = struct.unpack_from(">b", message, 4)[0]
    timestamp, at = (struct.unpack_from(">q", message, 6)[0], 14) if magic else (NO_TIMESTAMP, 6)
    key, at = _sized(message, at)
    value, at = _sized(message, at)
    return timestamp, key, value


def _sized(message: bytes, at: int) -> tuple[bytes | None, int]:
    size = struct.unpack_from(">i", message, at)[0]
    at += 4
    if size < 0:
        return None, at
    if at + size > len(message):
        raise ValueError("a length that points behind the end")
    return message[at : at + size], at + size
