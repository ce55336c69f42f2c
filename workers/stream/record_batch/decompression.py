"""Decompress record batches up to a limit: brokers check the compressed size only, and 6 KB can become 200 MB."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import lz4.frame
import snappy
import zstandard

from labelstream.schemas.dead_letter import Reason

CHUNK_BYTES = 1 << 17
# Header that most clients write: a magic, then two versions that no reader checks.
XERIAL, XERIAL_HEADER_BYTES = b"\x82SNAPPY\0", 16


class Inflated(NamedTuple):
    """`data`: at most `limit` bytes. `reason` and `problem`: why `data` is incomplete; None and "" if complete."""

    data: bytes
    reason: Reason | None = None
    problem: str = ""


class _TooLarge(Exception):
    pass


def inflate(codec: int, compressed: bytes, limit: int) -> Inflated:
    """The decompressed bytes; needs memory of up to twice `limit` bytes. `codec`: Kafka's number. Raises nothing."""
    if codec not in _CODECS:
        return Inflated(b"", Reason.INVALID_RECORD, f"unknown compression codec: {codec}")
    name, chunks_of = _CODECS[codec]
    chunks, size = list[bytes](), 0
    reason, problem = None, ""
    try:
        for chunk in chunks_of(compressed, limit):
            size += len(chunk)
            if size > limit:
                raise _TooLarge
            chunks.append(chunk)
    except _TooLarge:
        reason, problem = Reason.TOO_LARGE, f"the batch decompresses beyond limits.max_batch_bytes ({limit})"
    except Exception as error:  # each library has its own error types
        reason, problem = Reason.INVALID_RECORD, f"the batch is not valid {name} ({type(error).__name__})"
    return Inflated(b"".join(chunks), reason, problem)


def _gzip(data: bytes, limit: int) -> Iterator[bytes]:
    while data:  # a gzip file can have several members
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            chunk = member.decompress(data, CHUNK_BYTES)
            data = member.unconsumed_tail
            if not chunk and not data and not member.eof:
                raise EOFError
            yield chunk
        data = member.unused_data


def _snappy(data: bytes, limit: int) -> Iterator[bytes]:
    """One raw block, or a stream of snappy-java's SnappyInputStream."""
    if not data.startswith(XERIAL):
        yield _snappy_block(data, limit)
        return
    at = XERIAL_HEADER_BYTES
    while at + 4 <= len(data):  # like snappy-java: ignores a rest of fewer bytes, and all bytes after half a magic
        if data.startswith(XERIAL[:4], at):  # streams may be concatenated
            if not data.startswith(XERIAL, at):
                return
            at += XERIAL_HEADER_BYTES
            if at > len(data):
                raise EOFError
            continue
        size = int.from_bytes(data[at : at + 4], signed=True)
        if size < 0 or at + 4 + size > len(data):
            raise EOFError
        yield _snappy_block(data[at + 4 : at + 4 + size], limit)
        at += 4 + size


def _snappy_block(block: bytes, limit: int) -> bytes:
    """Check the decompressed length, a leading varint, first: snappy allocates that length before reading."""
    size = 0
    for index, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            break
    if size > limit:
        raise _TooLarge
    data: Any = snappy.decompress(block)
    return data


def _lz4(data: bytes, limit: int) -> Iterator[bytes]:
    frame = lz4.frame.LZ4FrameDecompressor()
    chunk = frame.decompress(data, CHUNK_BYTES)
    while True:
        yield chunk
        if frame.eof:
            return
        if not chunk and frame.needs_input:
            raise EOFError
        chunk = frame.decompress(b"", CHUNK_BYTES)


def _zstd(data: bytes, limit: int) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        while chunk := reader.read(CHUNK_BYTES):
            yield chunk


_CODECS: dict[int, tuple[str, Callable[[bytes, int], Iterator[bytes]]]] = {
    1: ("gzip", _gzip),
    2: ("snappy", _snappy),
    3: ("lz4", _lz4),
    4: ("zstd", _zstd),
}
