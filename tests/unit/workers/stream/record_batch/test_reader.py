"""Batches with the right checksum: whatever is in them, each record comes out, or has a reason of its own."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords
from kafka.structs import TopicPartition

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.record_batch.limits import MAX_HEADER_BYTES, MAX_HEADERS
from labelstream.workers.stream.record_batch.reader import UnpackedRecords, parse
from labelstream.workers.stream.record_batch.unread import HeadersLeftOut
from tests.support.batch_reading import CODECS, MIB, between, read, reasons
from tests.support.raw_batches import batch, framed, record, sized, varint

LIE = framed(b"\0" + varint(0) + varint(1) + sized(None) + varint(4_000) + b"short" + varint(0))


@pytest.mark.parametrize("name", [b"stra\xdfe", b"\xff\xfe", b"", b"\xed\xa0\x80", b"a\0b", "straße".encode()])
def test_a_header_name_in_any_bytes(name: bytes) -> None:
    (found,) = between([record(0, b"v", headers=[(name, None), (name, b"\xff")])], 1)
    assert [(kept.encode(), content) for kept, content in found.headers] == [(name, None), (name, b"\xff")]
    assert (found.value, found.serialized_header_size) == (b"v", 2 * len(name) + 1)


def test_a_name_in_utf_8_is_a_plain_string() -> None:
    (found,) = between([record(0, b"v", headers=[("ä".encode(), b"")])], 1)
    assert found.headers == [("ä", b"")]
    assert type(found.headers[0][0]) is str


def test_what_is_odd_but_allowed() -> None:
    found = between(
        [
            record(0, None, None),
            record(1, b"", b""),
            record(2, b"v", b"k", delta_ms=-5_000),
            record(3, b"v", attributes=0xFF),
            record(4, b"v", attributes=0x80),
            record(5, b"v", delta_ms=(1 << 63) - 1),
        ],
        6,
        timestamp=-7,
        attributes=0x7FC0,
    )
    assert [(kept.key, kept.value) for kept in found] == [
        (None, None),
        (b"", b""),
        (b"k", b"v"),
        (None, b"v"),
        (None, b"v"),
        (None, b"v"),
    ]
    assert [kept.timestamp for kept in found] == [-7, -7, -5_007, -7, -7, (1 << 63) - 8]


def test_a_timestamp_beyond_64_bits_begins_anew_as_in_java() -> None:
    (found,) = between([record(0, b"v", delta_ms=2)], 1, timestamp=(1 << 63) - 1)
    assert found.timestamp == -(1 << 63) + 1


def test_the_time_of_the_log() -> None:
    (found,) = between([record(0, b"v", delta_ms=9)], 1, attributes=0x08, max_timestamp=77)
    assert (found.timestamp, found.timestamp_type) == (77, 1)


def test_offsets_that_a_record_cannot_have() -> None:
    """Their places in the batch tell them: nothing is lost, and nothing goes back or into the next batch."""
    found = between([record(delta, b"%d" % place) for place, delta in enumerate([5, -1, 2, 2, 1 << 40])], 5)
    assert reasons(found) == [b"0", b"1", b"2", b"3", b"4"]


def test_offsets_that_compaction_took_away() -> None:
    log = batch([record(2, b"two"), record(7, b"seven")], 100, last_delta=9) + batch([], 110, last_delta=4)
    found, position = read(log, at=100)
    assert ([kept.offset for kept in found], position) == ([102, 107], 115)
    found, _ = read(log, at=105)
    assert [kept.offset for kept in found] == [107]


@pytest.mark.parametrize("codec", [0, *CODECS])
def test_every_compression(codec: int) -> None:
    values = [b"value %d " % number * 100 for number in range(50)]
    records = [record(place, value) for place, value in enumerate(values)]
    assert reasons(between(records, 50, codec=codec)) == values


LYING = {
    "value": LIE,
    "key": framed(b"\0" + varint(0) + varint(1) + varint(1 << 30) + b"k"),
    "header": framed(b"\0" + varint(0) + varint(1) + sized(None) + sized(b"v") + varint(1) + varint(99) + b"name"),
    "headers' number": framed(b"\0" + varint(0) + varint(1) + sized(None) + sized(b"v") + varint(1 << 40)),
    "a negative number": framed(b"\0" + varint(0) + varint(1) + sized(None) + sized(b"v") + varint(-2)),
    "no name": framed(b"\0" + varint(0) + varint(1) + sized(None) + sized(b"v") + varint(1) + varint(-1) + varint(-1)),
    "bytes left over": framed(b"\0" + varint(0) + varint(1) + sized(None) + sized(b"v") + varint(0) + b"more"),
    "an endless number": framed(b"\0" + b"\xff" * 20),
    "nothing": framed(b""),
}


@pytest.mark.parametrize("lie", LYING.values(), ids=LYING)
@pytest.mark.parametrize("codec", [0, 4])
def test_a_record_whose_lengths_lie_costs_itself_alone(lie: bytes, codec: int) -> None:
    found = between([record(0, b"zero"), lie, record(2, b"two")], 3, codec=codec)
    assert reasons(found) == [b"zero", Reason.INVALID_RECORD, b"two"]
    assert (found[1].key, found[1].headers, found[1].value) == (None, [], b"")


@pytest.mark.parametrize("rest", [b"", b"\xff", varint(-3), varint(5_000) + b"x"])
def test_unreadable_batch_rest_is_as_many_records_as_counted(rest: bytes) -> None:
    found = between([record(0, b"zero"), rest], 4, count=4)
    assert reasons(found) == [b"zero", *[Reason.INVALID_RECORD] * 3]


def test_bytes_behind_the_last_record() -> None:
    assert reasons(between([record(0, b"zero"), record(1, b"uncounted")], 1, count=1)) == [b"zero"]


@pytest.mark.parametrize("codec", [*CODECS, 5, 7])
def test_a_batch_that_cannot_be_decompressed(codec: int) -> None:
    found = between([], 3, count=3, codec=codec, packed=b"\x82SNAPPY\0" + bytes(range(40)))
    assert reasons(found) == [Reason.INVALID_RECORD] * 3


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_is_cut_off_gives_what_is_there(codec: int) -> None:
    whole = batch([record(place, b"%07d" % place * 2_000) for place in range(40)], codec=codec)[61:]
    found = between([], 40, count=40, codec=codec, packed=whole[: len(whole) - 30])
    assert reasons(found)[-1] == Reason.INVALID_RECORD
    assert all(value in (b"%07d" % place * 2_000, Reason.INVALID_RECORD) for place, value in enumerate(reasons(found)))


@pytest.mark.parametrize(("count", "last_delta", "letters"), [(3, 1, 2), (-4, 2, 3), (1, -5, 1), (2_000_000_000, 1, 2)])
def test_a_header_that_contradicts_itself(count: int, last_delta: int, letters: int) -> None:
    found = between([record(0, b"v" * 50)], letters, count=count, last_delta=last_delta)
    assert reasons(found) == [Reason.INVALID_RECORD] * letters


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_beyond_the_limit(codec: int) -> None:
    """What lies before the limit comes out."""
    found = between([record(0, b"zero"), record(1, bytes(2 * MIB)), record(2, b"two")], 3, codec=codec)
    assert reasons(found)[1:] == [Reason.TOO_LARGE] * 2
    assert reasons(found)[0] in (b"zero", Reason.TOO_LARGE)


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_within_the_limit(codec: int) -> None:
    value = bytes(MIB - 100)
    assert reasons(between([record(0, value)], 1, codec=codec)) == [value]


CONTROL, TRANSACTIONAL = 0x20, 0x10


def marker(first: int, key: bytes | None, count: int = 1) -> bytes:
    records = [] if key is None else [record(0, b"\0" * 6, key)]
    return batch(records, first, count=len(records), last_delta=0, attributes=CONTROL | TRANSACTIONAL, producer=7)


@pytest.mark.parametrize("key", [b"\0\0\0\0", b"\0\x09\0\0more", b"\0", b"", None], ids=str)
def test_control_batches(key: bytes | None) -> None:
    """Whatever the marker looks like, compacted away or of a later version: it ends what was aborted, and no more."""
    said: dict[str, Any] = {"attributes": TRANSACTIONAL, "producer": 7}
    log = batch([record(0, b"aborted")], 0, **said) + marker(1, key) + batch([record(0, b"committed")], 2, **said)
    aborted = [SimpleNamespace(first_offset=0, producer_id=7)]
    found, position = read(log, isolation_level=IsolationLevel.READ_COMMITTED, aborted_transactions=aborted)
    assert ([kept.value for kept in found], position) == ([b"committed"], 3)


@given(st.binary(max_size=80), st.integers(1, 5), st.integers(0, 7))
def test_whatever_is_in_a_batch_its_records_are_accounted_for(packed: bytes, count: int, codec: int) -> None:
    between([], count, count=count, codec=codec, packed=packed)


@given(st.integers(0, 4), st.data())
def test_whatever_byte_of_a_batch_is_another(codec: int, data: st.DataObject) -> None:
    """From the records on, which is all that a broker does not look at."""
    records = [record(place, b"value %d" % place, b"k", headers=[(b"name", b"content")]) for place in range(4)]
    packed = bytearray(batch(records, codec=codec)[61:])
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    between([], 4, count=4, codec=codec, packed=bytes(packed))


@pytest.mark.parametrize(
    ("number", "content"),
    [
        (MAX_HEADERS + 1, b""),
        (1, bytes(MAX_HEADER_BYTES)),
        (300_000, None),
    ],
)
def test_headers_that_are_too_many_are_counted_and_not_read(number: int, content: bytes | None) -> None:
    """300,000 empty ones took 21 MiB and half a second."""
    raw = record(0, b"v", b"k", headers=[(b"", content)] * number)
    began = time.process_time()
    (found,) = between([raw], 1, codec=4)
    assert time.process_time() - began < 0.2
    headers: Any = found.headers
    assert (found.key, found.value, list(headers)) == (b"k", b"v", [])
    assert isinstance(headers, HeadersLeftOut)
    assert (headers.number, headers.size) == (number, number * len(sized(b"") + sized(content)))


def test_as_many_headers_as_there_may_be_are_read() -> None:
    headers = [(b"n", bytes(MAX_HEADER_BYTES // MAX_HEADERS - 5))] * MAX_HEADERS
    (found,) = between([record(0, b"v", headers=headers)], 1)
    assert len(found.headers) == MAX_HEADERS


def test_readers_of_whole_records_get_all_headers() -> None:
    log = batch([record(0, b"v", headers=[(b"n", b"")] * 5_000)])
    (found,) = UnpackedRecords(MIB, 0, TopicPartition("t", 0), MemoryRecords(log)).take(1)
    assert found.headers == [("n", b"")] * 5_000


@pytest.mark.parametrize("any_headers", [True, False])
@pytest.mark.parametrize("number", [2, 1 << 20, 1 << 31, -1])
def test_a_number_of_headers_that_cannot_be_is_an_invalid_record(number: int, any_headers: bool) -> None:
    body = b"\0" + varint(0) + varint(0) + sized(None) + sized(b"v") + varint(number) + sized(b"n")
    with pytest.raises(ValueError, match="number of headers"):
        parse(body, 0, len(body), any_headers)
