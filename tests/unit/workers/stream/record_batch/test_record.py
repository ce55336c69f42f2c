"""A record as the fetcher takes it: its time in 64 bits, and the offset that it can have."""

from types import SimpleNamespace

import pytest

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.record_batch.record import INT64, Record, placed, unread
from labelstream.workers.stream.record_batch.unread import Unread


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [(0, 0), (-1, -1), (INT64 - 1, INT64 - 1), (INT64, -INT64), (-INT64, -INT64), (-INT64 - 1, INT64 - 1)],
)
def test_timestamp_beyond_64_bits_begins_anew(timestamp: int, expected: int) -> None:
    assert Record(0, timestamp, 0, None, b"v", [], 1).timestamp == expected


@pytest.mark.parametrize(
    ("claimed", "previous", "max_offset", "expected"),
    [(5, 4, 9, 5), (9, 4, 9, 9), (4, 4, 9, 5), (3, 4, 9, 5), (10, 4, 9, 5)],
)
def test_offset_is_the_claimed_one_where_that_can_be(
    claimed: int, previous: int, max_offset: int, expected: int
) -> None:
    assert placed(claimed, previous, max_offset) == expected


@pytest.mark.parametrize(("magic", "timestamp"), [(2, 20), (1, 10), (0, 10)])
def test_record_that_was_not_read_has_its_place_and_reason(magic: int, timestamp: int) -> None:
    batch = SimpleNamespace(magic=magic, timestamp=10, max_timestamp=20, timestamp_type=0)
    found = unread(7, batch, Reason.TOO_LARGE, "why")
    assert (found.offset, found.timestamp, found.key, found.headers) == (7, timestamp, None, [])
    assert isinstance(found.value, Unread)
    assert (found.value.reason, found.value.problem, found.validate_crc()) == (Reason.TOO_LARGE, "why", True)
