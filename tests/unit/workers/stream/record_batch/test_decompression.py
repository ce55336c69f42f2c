"""Decompression gives what is there, never more than the limit, and a reason where that is not all."""

import pytest

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.record_batch.decompression import Inflated, inflate
from tests.support.batch_reading import CODECS, MIB, between, reasons
from tests.support.raw_batches import ENCODE, record

NAMES = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("data", [b"", b"v", bytes(300_000)], ids=len)
def test_compressed_data_comes_back_whole(codec: int, data: bytes) -> None:
    assert inflate(codec, ENCODE[codec](data), MIB) == Inflated(data)


@pytest.mark.parametrize("codec", CODECS)
def test_data_of_exactly_the_limit_is_within_it(codec: int) -> None:
    packed = ENCODE[codec](bytes(5_000))
    assert inflate(codec, packed, 5_000).reason is None
    beyond = inflate(codec, packed, 4_999)
    assert (beyond.reason, len(beyond.data) <= 4_999) == (Reason.TOO_LARGE, True)
    assert beyond.problem == "the batch decompresses beyond limits.max_batch_bytes (4999)"


@pytest.mark.parametrize("codec", CODECS)
def test_data_that_is_not_compressed_names_the_codec(codec: int) -> None:
    found = inflate(codec, b"\x82SNAPPY\0" + bytes(range(40)), MIB)
    assert (found.data, found.reason) == (b"", Reason.INVALID_RECORD)
    assert found.problem.startswith(f"the batch is not valid {NAMES[codec]} (")


@pytest.mark.parametrize("codec", [0, 5, 7])
def test_unknown_codec_is_an_invalid_record(codec: int) -> None:
    assert inflate(codec, b"data", MIB) == Inflated(b"", Reason.INVALID_RECORD, f"unknown compression codec: {codec}")


@pytest.mark.parametrize("codec", CODECS)
def test_data_cut_off_gives_what_is_there(codec: int) -> None:
    data = b"%07d" * 40_000
    packed = ENCODE[codec](data)
    found = inflate(codec, packed[: len(packed) - 5], MIB)
    assert found.reason == Reason.INVALID_RECORD or codec == 4  # a frame of zstd may lack its checksum
    assert data.startswith(found.data)


def test_gzip_members_behind_each_other_are_one() -> None:
    assert inflate(1, ENCODE[1](b"one ") + ENCODE[1](b"two"), MIB) == Inflated(b"one two")


@pytest.mark.parametrize("behind", [b"", b"\0", b"\0\0\0", b"\x82SNA" + bytes(20)])
def test_snappy_streams_that_stand_one_behind_the_other(behind: bytes) -> None:
    """As snappy-java reads them: a header in mid-stream is skipped, and what begins like one ends the data."""
    records = [record(place, b"%07d" % place * 2_000) for place in range(4)]
    packed = b"".join(ENCODE[2](part) for part in (b"".join(records[:2]), b"", b"".join(records[2:])))
    found = between([], 4, count=4, codec=2, packed=packed + behind)
    assert reasons(found) == [b"%07d" % place * 2_000 for place in range(4)]


@pytest.mark.parametrize("length", [8, 15])
def test_a_snappy_stream_behind_another_whose_header_is_cut(length: int) -> None:
    found = inflate(2, ENCODE[2](b"value") + ENCODE[2](b"")[:length], MIB)
    assert (found.data, found.reason) == (b"value", Reason.INVALID_RECORD)


def test_a_snappy_block_that_claims_gigabytes() -> None:
    found = between([], 1, count=1, codec=2, packed=b"\xff\xff\xff\xff\x0f" + bytes(20))
    assert reasons(found) == [Reason.TOO_LARGE]
