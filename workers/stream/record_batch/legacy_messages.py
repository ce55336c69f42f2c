"""Message sets of Kafka's formats v0 and v1, which brokers still store and serve but no longer accept.

A set is one message, or a compressed message whose value holds the other messages. v0 stores absolute offsets. v1
stores offsets relative to the first message, and the offset of the set is that of the last message.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import lz4.frame
from kafka.record.util import calc_crc32

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.record_batch.decompression import inflate
from labelstream.workers.stream.record_batch.record import Record, unread

CODEC_MASK, LZ4, LZ4_HAS_SIZE = 0x07, 3, 0x08
OVERHEAD, MIN_BYTES = 12, 14  # offset and length before a message; size of the shortest message
NO_TIMESTAMP = -1
Message = tuple[int, bytes]  # (offset, bytes from the checksum on)


class LegacyBatch:
    """One message set. `position`: returns the next offset to read."""

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
            inner, reason, problem = [], Reason.INVALID_RECORD, "the message set cannot be parsed"
        if reason is None and not 0 < len(inner) <= self.next_offset:
            reason, problem = Reason.INVALID_RECORD, "the message set has no records, or more records than offsets"
        if reason is not None:  # the number of records is unknown: reject each offset
            for offset in range(min(position, self.last_offset), self.next_offset):
                yield unread(offset, self, reason, problem)
            return
        for offset, (_, message) in zip(self._offsets([claimed for claimed, _ in inner]), inner, strict=True):
            yield self._record(offset, message)

    def _offsets(self, claimed: list[int]) -> Sequence[int]:
        """The offsets in the set if plausible; else consecutive offsets up to that of the set."""
        base = self.last_offset - claimed[-1] if self.magic == 1 else 0
        offsets = [base + offset for offset in claimed]
        ordered = all(one < other for one, other in pairwise(offsets))
        if ordered and offsets[0] >= 0 and offsets[-1] == self.last_offset:
            return offsets
        return range(self.next_offset - len(claimed), self.next_offset)

    def _messages(self) -> tuple[list[Message], Reason | None, str]:
        """The inner messages. Raises struct.error or ValueError if lengths are wrong."""
        whole = bytes(self._batch._buffer)
        if not self.compression_type:
            return [(self.last_offset, whole[OVERHEAD:])], None, ""
        _, _, value = _parse(whole[OVERHEAD:])
        value = value or b""
        if self.magic == 0 and self.compression_type == LZ4:
            value = _fix_lz4_checksum(value)
        data, reason, problem = inflate(self.compression_type, value, self._limit)
        return [] if reason else list(_split(data)), reason, problem

    def _record(self, offset: int, message: bytes) -> Record:
        try:
            if struct.unpack_from(">I", message)[0] != calc_crc32(memoryview(message)[4:]):
                raise ValueError("wrong checksum")
            if self.compression_type and message[5] & CODEC_MASK:
                raise ValueError("a set inside a set")
            timestamp, key, value = _parse(message)
        except (struct.error, ValueError):
            problem = "wrong checksum, wrong lengths, or a message set inside a message set"
            return unread(offset, self, Reason.INVALID_RECORD, problem)
        if self.timestamp_type == 1:  # log append time: only the set has the broker's timestamp
            timestamp = self.timestamp
        return Record(offset, timestamp, self.timestamp_type, key, value, [], len(message))


def _fix_lz4_checksum(frame: bytes) -> bytes:
    """Replace the last byte of LZ4's header by its right checksum: clients of format v0 wrote a wrong one.

    Tries all 256 values. Raises ValueError if none is right.
    """
    at = 14 if len(frame) > 4 and frame[4] & LZ4_HAS_SIZE else 6
    for byte in range(256):
        header = frame[:at] + bytes([byte])
        with suppress(RuntimeError):
            lz4.frame.get_frame_info(header)
            return header + frame[at + 1 :]
    raise ValueError("not an LZ4 frame")


def _split(data: bytes) -> Iterator[Message]:
    at = 0
    while at < len(data):
        offset, length = struct.unpack_from(">qi", data, at)
        at += OVERHEAD
        if length < MIN_BYTES or at + length > len(data):
            raise ValueError("invalid message length")
        yield offset, data[at : at + length]
        at += length


def _parse(message: bytes) -> tuple[int, bytes | None, bytes | None]:
    """Timestamp in ms, key and value. Raises struct.error or ValueError if lengths are wrong."""
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
        raise ValueError("a length points beyond the message")
    return message[at : at + size], at + size
