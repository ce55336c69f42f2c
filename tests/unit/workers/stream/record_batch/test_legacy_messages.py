"""Message sets of the formats v0 and v1: each message comes out, or has a reason of its own."""

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason
from tests.support.batch_reading import AFTER, MIB, read, reasons
from tests.support.raw_batches import ENCODE, NOW_MS, batch, message, message_set


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [1, 2, 3])
def test_message_sets_of_the_old_formats(magic: int, codec: int) -> None:
    inner = [message(place if magic else place + 3, b"%d" % place, b"k", magic=magic) for place in range(3)]
    log = (
        message(0, None, b"k", magic=magic)
        + message(1, b"", magic=magic)
        + message(2, b"v", magic=magic)
        + message_set(inner, 5, codec, magic=magic)
        + batch(AFTER, 6)
    )
    found, position = read(log)
    assert [(kept.offset, kept.value) for kept in found] == [
        (0, None),
        (1, b""),
        (2, b"v"),
        (3, b"0"),
        (4, b"1"),
        (5, b"2"),
        (6, b"after"),
    ]
    assert [kept.timestamp for kept in found[:6]] == [NOW_MS if magic else -1] * 6
    assert position == 7


@pytest.mark.parametrize("claimed", [(0, 1, 900), (2, 1, 0), (0, 0, 0), (7, 8, 4)])
def test_offsets_that_an_old_message_cannot_have(claimed: tuple[int, ...]) -> None:
    for magic in (0, 1):
        inner = [message(offset, b"%d" % place, magic=magic) for place, offset in enumerate(claimed)]
        found, _ = read(message_set(inner, 5, 1, magic=magic), at=3)
        assert [(kept.offset, kept.value) for kept in found] == [(3, b"0"), (4, b"1"), (5, b"2")]


@pytest.mark.parametrize("with_size", [True, False])
def test_the_wrong_checksum_in_lz4_of_the_oldest_format(with_size: bool) -> None:
    packed = bytearray(lz4.frame.compress(message(0, b"v", magic=0), store_size=with_size))
    packed[14 if with_size else 6] ^= 0x55
    assert reasons(read(message(0, bytes(packed), magic=0, attributes=3))[0]) == [b"v"]


@pytest.mark.parametrize("packed", [b"", b"words", b"\x04\x22\x4d\x18", bytes(40)])
def test_what_is_no_lz4_in_the_oldest_format(packed: bytes) -> None:
    assert reasons(read(message(0, packed, magic=0, attributes=3))[0]) == [Reason.INVALID_RECORD]


def test_an_old_message_that_lies_costs_itself_alone() -> None:
    wrong = bytearray(message(1, b"value"))
    wrong[-1] ^= 1
    nested = message_set([message(0, b"deep")], 2, codec=1)
    log = message_set([message(0, b"0"), bytes(wrong), nested, message(3, b"3")], 3, codec=1)
    found, _ = read(log)
    assert reasons(found) == [b"0", Reason.INVALID_RECORD, Reason.INVALID_RECORD, b"3"]


def test_unreadable_legacy_set_is_all_offsets_up_to_its_own() -> None:
    log = message(10, b"no gzip", attributes=1) + message_set([message(0, bytes(2 * MIB))], 12, 1) + batch(AFTER, 13)
    found, position = read(log, at=8)
    assert [(kept.offset, reason) for kept, reason in zip(found, reasons(found), strict=True)] == [
        (8, Reason.INVALID_RECORD),
        (9, Reason.INVALID_RECORD),
        (10, Reason.INVALID_RECORD),
        (11, Reason.TOO_LARGE),
        (12, Reason.TOO_LARGE),
        (13, b"after"),
    ]
    assert position == 14


@given(st.integers(1, 3), st.sampled_from([0, 1]), st.data())
def test_whatever_byte_of_an_old_set_is_another(codec: int, magic: int, data: st.DataObject) -> None:
    inner = [message(place if magic else place + 3, b"%d" % place, b"k", magic=magic) for place in range(3)]
    packed = bytearray(ENCODE[codec](b"".join(inner)))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    found, position = read(message(5, bytes(packed), magic=magic, attributes=codec) + batch(AFTER, 6), at=3)
    offsets = [kept.offset for kept in found]
    assert (offsets[-1], position, found[-1].value) == (6, 7, b"after")
    assert offsets == sorted(set(offsets))
