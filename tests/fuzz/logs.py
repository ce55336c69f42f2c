"""Batches as a broker returns them: every offset comes out, and kafka-python's reader agrees where it can read."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord
from kafka.record import MemoryRecords
from kafka.record.util import calc_crc32c, decode_varint
from kafka.structs import TopicPartition

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.consumer.fetching import CorruptBatch, _GuardedRecords
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.record_batch.decompression import inflate
from labelstream.workers.stream.record_batch.unread import Unread
from tests.support.raw_batches import ENCODE, batch, framed, message, message_set, record, sized, varint

LIMIT = 1 << 20
TIGHT = 5_000  # bytes of one poll: two small records, and the third one waits for the next poll
MOST = 5_000  # records of one input: every length below keeps within it
BEFORE, AFTER = [record(0, b"before")], [record(0, b"after")]
PARTITION = TopicPartition("t", 0)
HEADER_BYTES = 61


class Log(NamedTuple):
    """`corrupt`: where reading ended; only a wrong checksum or header may cause it."""

    records: list[ConsumerRecord]
    position: int
    corrupt: CorruptBatch | None


def read(log: bytes, at: int = 0, ordered: bool = True) -> Log:
    """Read a fetch as the worker does, three records at a time, or fewer if there is less room.

    `ordered`: the batches are in the order of offsets, as in every log of a broker.
    """
    corrupt: dict[TopicPartition, CorruptBatch] = {}
    records = _GuardedRecords(corrupt, lambda: PollBudget(TIGHT), LIMIT, at, PARTITION, MemoryRecords(log))
    found: list[ConsumerRecord] = []
    while records:
        found += records.take(3)
        assert len(found) < MOST, "records without an end"
    offsets = [kept.offset for kept in found]
    assert not ordered or offsets == sorted(set(offsets)), f"offsets out of order: {offsets}"
    assert not offsets or at <= offsets[0], "a record from before the position"
    assert not offsets or offsets[-1] < records.next_fetch_offset, "the position is before a record"
    for kept in found:
        assert not isinstance(kept.value, Unread) or (kept.value.reason and kept.value.problem), "no reason"
        for name, content in kept.headers:
            assert isinstance(name.encode(), bytes)
            assert content is None or isinstance(content, bytes)
    return Log(found, records.next_fetch_offset, corrupt.get(PARTITION))


def batch_body(data: bytes) -> None:
    """Any content of a batch with the right checksum: every offset comes out, and so do the batches around it."""
    if len(data) < 3:
        return
    codec, count, gap = data[0] & 7, 1 + data[1] % 16, data[2] % 4
    packed = data[3:]
    if data[0] & 8 and codec in ENCODE:  # else hardly anything can be decompressed
        packed = ENCODE[codec](packed)
    between(packed, count, count - 1 + gap, codec)


def legacy_body(data: bytes) -> None:
    """As `batch_body` for the formats v0 and v1."""
    if len(data) < 2:
        return
    codec, magic, packed = data[0] & 3, data[0] >> 2 & 1, data[1:]
    if data[0] & 8 and codec:
        packed = ENCODE[codec](packed)
    log = read(message(9, packed, magic=magic, attributes=codec) + batch(AFTER, 10), at=4)
    assert log.corrupt is None, f"halted: {log.corrupt}"
    assert (log.records[-1].value, log.position) == (b"after", 11)
    assert log.records[-2].offset == 9, "the set's own offset has no record"


def whole_log(data: bytes) -> None:
    """Any bytes, headers included. The first byte tells whether to correct the first checksum."""
    right, log = data[:1] > b"\x7f", bytearray(data[1:])
    if len(log) > HEADER_BYTES:
        log[0:6] = bytes(6)  # offsets are the broker's
        log[23:25] = log[57:59] = bytes(2)  # not more than 65,535 records, which a broker counts
        log[25] &= 0x07
        log[59] &= 0x07
        if right:
            log[8:12] = struct.pack(">i", len(log) - 12)
            log[16], log[17:21] = 2, struct.pack(">I", calc_crc32c(bytes(log[21:])))
    found = read(bytes(log), ordered=False)
    if found.corrupt is not None:
        assert found.corrupt.first == found.position or found.corrupt.first <= found.position
        assert found.corrupt.end is None or found.corrupt.end > found.corrupt.first, "skipping would not move on"
        assert not (right and len(log) > HEADER_BYTES), f"halted in spite of the right checksum: {found.corrupt}"


def inflated(data: bytes) -> None:
    """Output within the limit, and a reason for everything that is missing."""
    codec, limit = (data[0] & 7, 1 << 16) if data else (0, 0)
    found = inflate(codec, data[1:], limit)
    assert len(found.data) <= limit, "beyond the limit"
    assert (found.reason is None) == (not found.problem), "a reason without words, or words without a reason"
    if codec in ENCODE and found.reason is None:
        again = inflate(codec, ENCODE[codec](found.data), limit)
        assert again.data == found.data, "it does not come back"


def between(packed: bytes, count: int, last_delta: int, codec: int, **more: Any) -> list[ConsumerRecord]:
    """Read a batch between two good ones."""
    middle = batch([], 1, count=count, last_delta=last_delta, codec=codec, packed=packed, **more)
    log = read(batch(BEFORE, 0) + middle + batch(AFTER, last_delta + 2))
    assert log.corrupt is None, f"halted: {log.corrupt}"
    before, *found, after = log.records
    assert (before.value, after.value) == (b"before", b"after")
    assert len(found) == count, f"{len(found)} records of {count}"
    assert log.position == last_delta + 3
    reference = theirs(middle)
    if reference is not None:
        assert [(kept.offset, kept.timestamp, kept.key, kept.value, kept.headers) for kept in found] == reference
    return found


def theirs(log: bytes) -> list[Any] | None:
    """The first batch as kafka-python's own reader reads it; None if that reader raises, or reads the format wrongly.

    It reads attributes as a varint, and does not check offsets and timestamps.
    """
    first: Any = MemoryRecords(log).next_batch()
    try:
        found = [(kept.offset, kept.timestamp, kept.key, kept.value, kept.headers) for kept in first]
    except Exception:  # each codec has its own
        return None
    offsets = [offset for offset, *_ in found]
    room = range(first.base_offset, first.base_offset + first.last_offset_delta + 1)
    left = first.last_offset_delta + 1
    fits = all(at in room and at <= room[-1] - (len(offsets) - place - 1) for place, at in enumerate(offsets))
    if not fits or offsets != sorted(set(offsets)) or left < len(found):
        return None
    if any(not -(1 << 63) <= timestamp < 1 << 63 for _, timestamp, *_ in found):
        return None
    body = log[HEADER_BYTES:]
    if first.compression_type:
        body, reason, _ = inflate(first.compression_type, body, LIMIT)
        if reason is not None:  # kafka-python takes the length of a snappy block that is longer than the batch
            return None
    return found if _plain_attributes(body) else None


def _plain_attributes(body: bytes) -> bool:
    at = 0
    while at < len(body):
        length, at = decode_varint(body, at)  # type: ignore[arg-type]
        if body[at : at + 1] > b"\x7f":
            return False
        at += length
    return True


NAMES = st.binary(max_size=8) | st.text(max_size=4).map(lambda name: name.encode("utf-8", "surrogatepass"))
CONTENT = st.none() | st.binary(max_size=12)
GOOD = st.builds(
    record,
    st.integers(0, 15),
    CONTENT | st.binary(min_size=100, max_size=400),
    CONTENT,
    st.lists(st.tuples(NAMES, CONTENT), max_size=5),
    st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-9, 9),
    st.sampled_from([0, 0, 0, 1, 0x7F, 0xFF]),
)
NUMBER = st.integers(-5, 40) | st.sampled_from([1 << 20, 1 << 31, (1 << 63) - 1, -(1 << 63)])


@st.composite
def lies(draw: st.DrawFn) -> bytes:
    """A record each of whose lengths may be any number."""
    body = b"\0" + varint(draw(NUMBER)) + varint(draw(NUMBER)) + varint(draw(NUMBER)) + draw(st.binary(max_size=9))
    body += varint(draw(NUMBER)) + draw(st.binary(max_size=9)) + varint(draw(NUMBER)) + draw(st.binary(max_size=9))
    return draw(st.sampled_from([framed(body), varint(draw(NUMBER)) + body, body]))


def drawn_batches(bodies: list[bytes], codec: int, gap: int, timestamp: int, changes: int, data: st.DataObject) -> None:
    """Batches of good and of inconsistent records, in every compression, with mutated bytes."""
    packed = b"".join(bodies)
    packed = bytearray(ENCODE[codec](packed) if codec else packed)
    for _ in range(changes if packed else 0):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(0, 255))
    between(bytes(packed), len(bodies), len(bodies) - 1 + gap, codec, timestamp=timestamp)


def drawn_sets(records: Sequence[tuple[bytes | None, bytes | None]], codec: int, magic: int) -> None:
    """Message sets of the old formats, compared with kafka-python's reader."""
    first = 3 if codec and not magic else 0  # offsets within: of the log in v0, from its first one in v1
    inner = [message(first + place, value, key, magic=magic) for place, (value, key) in enumerate(records)]
    last = 2 + len(inner)
    if codec:
        log = message_set(inner, last, codec, magic=magic)
    else:
        log = b"".join(message(3 + place, value, key, magic=magic) for place, (value, key) in enumerate(records))
    found = read(log + batch(AFTER, last + 1), at=3)
    assert [kept.offset for kept in found.records] == list(range(3, last + 2))
    assert [(kept.value, kept.key) for kept in found.records[:-1]] == records
    if codec and not (codec == 3 and magic == 0):  # it does not mend the old checksum of LZ4
        reference: Any = MemoryRecords(log).next_batch()
        ours = [(kept.offset, kept.timestamp, kept.key, kept.value) for kept in found.records[:-1]]
        expected = [
            (kept.offset, -1 if kept.timestamp is None else kept.timestamp, kept.key, kept.value) for kept in reference
        ]
        assert ours == expected


def drawn_data(codec: int, piece: bytes, times: int) -> None:
    """Compressed data decompresses to the same bytes, or exceeds the limit."""
    data = piece * times
    found = inflate(codec, ENCODE[codec](data), LIMIT)
    assert found.data == data if len(data) <= LIMIT else found.reason is Reason.TOO_LARGE


def body(*records: bytes) -> bytes:
    """A seed of `batch_body`: uncompressed, and each codec."""
    return bytes([0, len(records) - 1, 0]) + b"".join(records)


RECORDS = [
    record(0, b"zero", b"k", [(b"name", b"content"), (b"stra\xdfe", None)]),
    record(1, None),
    record(2, b"", b""),
]
BODY_SEEDS = [
    body(*RECORDS),
    *(bytes([8 | codec, 2, 1]) + b"".join(RECORDS) for codec in ENCODE),
    *(bytes([codec, 2, 1]) + ENCODE[codec](b"".join(RECORDS)) for codec in ENCODE),
    body(framed(b"\0" + varint(0) + varint(1) + sized(None) + varint(4_000) + b"short" + varint(0))),
]
INNER = [b"".join(message(3 * (1 - magic) + place, b"v", b"k", magic=magic) for place in range(3)) for magic in (0, 1)]
LEGACY_SEEDS = [bytes([8 | magic << 2 | codec]) + INNER[magic] for magic in (0, 1) for codec in (0, 1, 2, 3)] + [
    bytes([magic << 2 | codec]) + ENCODE[codec](INNER[magic]) for magic in (0, 1) for codec in (1, 2, 3)
]
LOG_SEEDS = [first + batch(RECORDS, codec=codec) for codec in (0, *ENCODE) for first in (b"\0", b"\xff")] + [
    b"\0" + batch(BEFORE) + message(1, b"v") + message_set([message(0, b"v")], 2, 1) + batch(AFTER, 3)
]
INFLATE_SEEDS = [bytes([codec]) + ENCODE[codec](piece) for codec in ENCODE for piece in (b"", b"words", bytes(900))]
BATCHES = (
    st.lists(GOOD | lies(), min_size=1, max_size=8),
    st.integers(0, 4),
    st.integers(0, 12),
    st.integers(-(1 << 62), 1 << 62),
    st.integers(0, 3),
    st.data(),
)
SETS = st.lists(st.tuples(CONTENT, CONTENT), min_size=1, max_size=5), st.integers(0, 3), st.sampled_from([0, 1])
DATA = st.integers(1, 4), st.binary(max_size=2_000), st.integers(1, 3_000)
