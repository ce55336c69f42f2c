"""What stands for a record's parts that are no text, too many, or not read: each gives back what it stands for."""

from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.record_batch.unread import HeaderName, HeadersLeftOut, Unread, header_name


@given(st.binary())
def test_header_name_gives_back_its_bytes_whatever_they_are(name: bytes) -> None:
    found = header_name(name)
    assert found.encode() == found.encode("utf-8", "strict") == name


def test_header_name_that_is_utf8_is_a_plain_string() -> None:
    assert type(header_name("straße".encode())) is str
    assert type(header_name(b"\xff")) is HeaderName


def test_headers_left_out_are_none_and_tell_how_many() -> None:
    found = HeadersLeftOut(1_001, 5_000)
    assert (list(found), found.told()) == ([], "count=1001;bytes=5000")


def test_unread_value_is_empty_and_tells_why() -> None:
    found = Unread(Reason.INVALID_RECORD, "its lengths lie")
    assert (found, len(found)) == (b"", 0)
    assert (found.reason, found.problem) == (Reason.INVALID_RECORD, "its lengths lie")
