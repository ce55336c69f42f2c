"""Record batches built byte by byte, also invalid ones, and a socket that sends them to a broker."""

import socket
import struct
import time
import zlib
from collections.abc import Sequence

import zstandard
from kafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from kafka.record.util import calc_crc32c, encode_varint

Headers = Sequence[tuple[bytes, bytes | None]]
ENCODE = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode, 4: zstd_encode}
NOW_MS = int(time.time() * 1000)  # a broker deletes what is older than a week, half a minute after its start


def varint(number: int) -> bytes:
    out = bytearray()
    encode_varint(number, out.append)
    return bytes(out)


def sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def framed(body: bytes) -> bytes:
    """A record's bytes with their length in front."""
    return varint(len(body)) + body


def record(
    delta: int,
    value: bytes | None,
    key: bytes | None = None,
    headers: Headers = (),
    delta_ms: int = 0,
    attributes: int = 0,
) -> bytes:
    head = bytes([attributes]) + varint(delta_ms) + varint(delta) + sized(key) + sized(value)
    named = b"".join(sized(name) + sized(content) for name, content in headers)
    return framed(head + varint(len(headers)) + named)


def batch(
    records: Sequence[bytes],
    first: int = 0,
    *,
    count: int | None = None,
    last_delta: int | None = None,
    codec: int = 0,
    attributes: int = 0,
    timestamp: int = NOW_MS,
    max_timestamp: int | None = None,
    producer: int = -1,
    packed: bytes | None = None,
) -> bytes:
    """Of format v2, with the right checksum. `max_timestamp`: of its records; `packed`: in the place of `records`."""
    if packed is None:
        packed = b"".join(records)
        packed = ENCODE[codec](packed) if codec else packed
    count = len(records) if count is None else count
    last_delta = count - 1 if last_delta is None else last_delta
    checked = (
        struct.pack(
            ">hiqqqhii",
            attributes | codec,
            last_delta,
            timestamp,
            timestamp if max_timestamp is None else max_timestamp,
            producer,
            -1 if producer < 0 else 0,
            -1,
            count,
        )
        + packed
    )
    return struct.pack(">qiibI", first, len(checked) + 9, 0, 2, calc_crc32c(checked)) + checked


def bomb(mib: int, good: bytes) -> bytes:
    """Three records in zstd: the second one's value is so many MiB of zeros, which are never in memory at once."""
    compressor, size = zstandard.ZstdCompressor().compressobj(), mib << 20
    head, tail = b"\0" + varint(0) + varint(1) + sized(b"k1") + varint(size), varint(0)
    packed = compressor.compress(record(0, good, b"k0") + varint(len(head) + size + len(tail)) + head)
    zeros = bytes(1 << 20)
    packed += b"".join(compressor.compress(zeros) for _ in range(mib))
    packed += compressor.compress(tail + record(2, good, b"k2")) + compressor.flush()
    return batch([], count=3, codec=4, packed=packed)


def message(
    offset: int,
    value: bytes | None,
    key: bytes | None = None,
    *,
    magic: int = 1,
    attributes: int = 0,
    timestamp: int = NOW_MS,
) -> bytes:
    """A message of the formats v0 and v1, with the right checksum."""
    parts = [struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data for data in (key, value)]
    times = struct.pack(">q", timestamp) if magic else b""
    checked = struct.pack(">bb", magic, attributes) + times + b"".join(parts)
    return struct.pack(">qiI", offset, len(checked) + 4, zlib.crc32(checked)) + checked


def message_set(messages: Sequence[bytes], last: int, codec: int, *, magic: int = 1, attributes: int = 0) -> bytes:
    """Messages in one that holds them, compressed."""
    return message(last, ENCODE[codec](b"".join(messages)), magic=magic, attributes=codec | attributes)


def send(bootstrap: str, topic: str, data: bytes, partition: int = 0) -> int:
    """Produce a batch as it is; the error code of the broker's answer. It must lead the partition."""
    return send_at(bootstrap, topic, data, partition)[0]


def send_at(bootstrap: str, topic: str, data: bytes, partition: int = 0) -> tuple[int, int]:
    """As `send`; the offset of its first record as well, -1 where the broker has not taken it."""
    host, port = bootstrap.rsplit(":", 1)
    name, client = topic.encode(), b"raw"
    request = (
        struct.pack(">hhih", 0, 7, 1, len(client))
        + client  # Produce v7, the first with zstd
        + struct.pack(">hhii", -1, -1, 10_000, 1)
        + struct.pack(">h", len(name))
        + name
        + struct.pack(">iii", 1, partition, len(data))
        + data
    )
    with socket.create_connection((host, int(port)), timeout=30) as connection, connection.makefile("rb") as answer:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (length,) = struct.unpack(">i", answer.read(4))
        body = answer.read(length)
    at = 4 + 4 + 2 + len(name) + 4 + 4  # correlation, topics, name, partitions, number
    code, first = struct.unpack_from(">hq", body, at)
    return code, first
