"""Record batch reader that returns every record, also of malformed batches with a right checksum.

Producers control the content of a batch, so a malformed batch must not stop the consumer. The reader accepts all that
Java's client accepts: header names in any encoding, unknown attributes, decreasing offset deltas. An unreadable record
gets an `Unread` value and reading continues after it. If the rest of a batch is unreadable, the reader returns as
many `Unread` records as the header of the batch counts.

kafka-python 3.0.12, record/default_records.py, raises in these cases: header names must be UTF-8, attributes are read
as a varint, and a control batch emptied by compaction ends the iteration.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.settings.limits import MAX_BATCH_BYTES
from labelstream.workers.stream.record_batch.decompression import Inflated, inflate
from labelstream.workers.stream.record_batch.legacy_messages import LegacyBatch
from labelstream.workers.stream.record_batch.limits import MAX_HEADER_BYTES, MAX_HEADERS
from labelstream.workers.stream.record_batch.record import Record, placed, unread
from labelstream.workers.stream.record_batch.unread import HeadersLeftOut, header_name

HEADER_BYTES = DefaultRecordBatch.HEADER_STRUCT.size
MIN_RECORD_BYTES, MIN_HEADER_BYTES = 7, 2
COMMIT_MARKER = 1
Body = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def read_any_record(consumer: KafkaConsumer, max_batch_bytes: int = MAX_BATCH_BYTES) -> None:
    """Make `consumer` read batches with this module."""
    any_consumer: Any = consumer
    any_consumer._fetcher.PartitionRecords = partial(UnpackedRecords, max_batch_bytes)


class UnpackedRecords(Fetcher.PartitionRecords):
    """kafka-python's PartitionRecords, which tracks transactions and positions, with this module's batches.

    `any_headers`: accept any number and size of headers; if false, `HeadersLeftOut` replaces too many headers.
    """

    any_headers = True

    def __init__(self, max_batch_bytes: int, *args: Any, **kwargs: Any) -> None:
        self._max_batch_bytes = max_batch_bytes
        super().__init__(*args, **kwargs)

    def _unpack_records(self, tp: Any, records: Any, *deserializers: Any) -> Iterator[ConsumerRecord]:
        position = lambda: self.next_fetch_offset  # noqa: E731
        self.batches = RecordBatches(records, self._max_batch_bytes, position, self.any_headers)
        yield from super()._unpack_records(tp, self.batches, *deserializers)  # type: ignore[misc]

    def _contains_abort_marker(self, batch: Any) -> bool:
        return batch.is_control_batch and batch.ends_aborted()


class RecordBatches:
    """kafka-python's MemoryRecords with this module's batches. `current`: the batch being read."""

    def __init__(self, records: Any, limit: int, position: Callable[[], int], any_headers: bool) -> None:
        self._records, self._limit, self._position, self._any_headers = records, limit, position, any_headers
        self.current: Any = None

    def next_batch(self) -> Any:
        """The next batch; None at the end. Raises CorruptRecordError for broken data or an unknown format."""
        self.current = None
        batch = self._records.next_batch()
        if batch is None:
            return None
        if batch.magic not in (0, 1, 2):
            raise CorruptRecordError(f"unknown record batch format: {batch.magic}")
        if batch.magic == 2:
            self.current = Batch(batch, self._limit, self._any_headers)
        else:
            self.current = LegacyBatch(batch, self._limit, self._position)
        return self.current


class Batch:
    """A batch of format v2; kafka-python parses its header."""

    def __init__(self, batch: Any, limit: int, any_headers: bool) -> None:
        self._batch, self._limit, self._any_headers = batch, limit, any_headers
        self.last_offset = max(batch.base_offset, batch.last_offset)
        self.next_offset = self.last_offset + 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def consistent(self) -> bool:
        """Is there an offset for each record that the header counts?"""
        return 0 <= self._batch.records_count <= self._batch.last_offset_delta + 1

    def ends_aborted(self) -> bool:
        """Does this control batch end an aborted transaction? True if the batch has no readable marker."""
        for record in self:
            if record.key is not None and len(record.key) >= 4:
                return int.from_bytes(record.key[2:4]) != COMMIT_MARKER
        return True

    def __iter__(self) -> Iterator[Record]:
        batch = self._batch
        data, reason, problem = self._data()
        last, count, offset = self.last_offset, batch.records_count, batch.base_offset - 1
        if not self.consistent():
            count = min(last - offset, len(data) // MIN_RECORD_BYTES + 1)
            data, reason, problem = b"", Reason.INVALID_RECORD, "the batch counts more records than offsets"
        appended_at = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
        created_at = batch.first_timestamp
        left, at = count, 0
        while left:
            begin, end = _bounds(data, at)
            if end > len(data):
                break
            left, at = left - 1, end
            try:
                delta_ms, delta, key, value, headers = parse(data, begin, end, self._any_headers)
            except (IndexError, ValueError):
                offset += 1
                yield unread(offset, batch, Reason.INVALID_RECORD, "the record's lengths contradict each other")
                continue
            offset = placed(batch.base_offset + delta, offset, last - left)
            timestamp = created_at + delta_ms if appended_at is None else appended_at
            yield Record(offset, timestamp, batch.timestamp_type, key, value, headers, end - begin)
        for missing in range(offset + 1, offset + 1 + left):
            yield unread(missing, batch, reason or Reason.INVALID_RECORD, problem or "the batch ends before the record")

    def _data(self) -> Inflated:
        packed = bytes(memoryview(self._batch._buffer)[HEADER_BYTES:])
        codec = self._batch.compression_type
        return inflate(codec, packed, self._limit) if codec else Inflated(packed)


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Start and end of the record whose length is at `at`; an end beyond `data` if the record is incomplete."""
    try:
        length, begin = decode_varint(data, at)  # type: ignore[arg-type]
    except (IndexError, ValueError):
        return at, len(data) + 1
    return begin, begin + length if length >= 0 else len(data) + 1


def parse(data: bytes, at: int, end: int, any_headers: bool = True) -> Body:
    """Timestamp delta in ms, offset delta, key, value and headers. Raises IndexError or ValueError for wrong lengths.

    Copies no byte after `end`. A varint may be read beyond `end`; the last check finds such a record.
    """
    delta_ms, at = decode_varint(data, at + 1)  # type: ignore[arg-type]  # skips the attributes, which have no meaning
    delta, at = decode_varint(data, at)  # type: ignore[arg-type]
    key, at = _sized(data, at, end)
    value, at = _sized(data, at, end)
    count, at = decode_varint(data, at)  # type: ignore[arg-type]
    headers: list[tuple[str, bytes | None]] = []
    if not 0 <= count <= (end - at) // MIN_HEADER_BYTES:
        raise ValueError("impossible number of headers")
    if not any_headers and (count > MAX_HEADERS or end - at > MAX_HEADER_BYTES):
        return delta_ms, delta, key, value, HeadersLeftOut(count, end - at)
    for _ in range(count):
        name, at = _sized(data, at, end)
        if name is None:
            raise ValueError("a header has no name")
        content, at = _sized(data, at, end)
        headers.append((header_name(name), content))
    if at != end:
        raise ValueError("the record is longer or shorter than its length")
    return delta_ms, delta, key, value, headers


def _sized(data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(data, at)  # type: ignore[arg-type]
    after = at + size
    if size < 0:
        return None, at
    if after > end:
        raise ValueError("a length points beyond the record")
    return data[at:after], after
