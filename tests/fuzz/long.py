"""Long values: a piece of JSON or text repeated up to a mebibyte, to find work of more than linear time."""

from typing import Any

from hypothesis import strategies as st

from labelstream.workers.stream.codec.rejection import DecodeError
from tests.fuzz.bounds import bounded
from tests.fuzz.values import check_told, read_field, read_json, read_text

MAX_BYTES = 1 << 20
PIECE = st.sampled_from(
    [
        b"[",
        b"]",
        b"{",
        b"}",
        b'{"a":',
        b'"',
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b",",
        b":",
        b"0",
        b"1e9,",
        b"null,",
        b" ",
        b'"text":"a",',
        b'"metadata":',
        b'{"metadata":{',
        b'"metadata"',
        b'"a":{"b":',
        b'"a.b":',
        b"a.",
        b"\xff",
        b"NaN,",
        b'"x":1,',
        "\u00df".encode(),
        b"\0",
        b"-",
        b'"a":[',
        b"\n",
    ]
) | st.binary(min_size=1, max_size=4)
PIECES = st.lists(PIECE, min_size=0, max_size=4).map(b"".join)
START = st.sampled_from(
    [b"", b'{"text":"a","x":', b'{"a":{"b":"x"},"x":', b'{"text":"', b'{"metadata":{"x":', b"{", b"["]
)
END = st.sampled_from([b"", b"}", b'"}', b'null,"text":"a"}', b"]}", b',"text":"a","metadata":{"n":1.0}}', b"1}}"])
REPEATS = (
    START,
    PIECES,
    st.lists(PIECE, min_size=1, max_size=3).map(b"".join),
    PIECES,
    END,
    st.integers(1 << 12, MAX_BYTES),
    st.sampled_from([read_json, read_field, read_text]),
)
DEPTHS = START, PIECE, PIECE, END, st.integers(1 << 10, MAX_BYTES // 4), st.sampled_from([read_json, read_field])


def drawn_repeats(start: bytes, before: bytes, unit: bytes, after: bytes, end: bytes, size: int, read: Any) -> None:
    """Every value is read or refused within the bounds of time and memory."""
    value = start + before + unit * (size // len(unit)) + after + end
    with bounded(len(value)):
        try:
            read(value[:MAX_BYTES])
        except DecodeError as error:
            check_told(error)


def drawn_depths(start: bytes, opening: bytes, closing: bytes, end: bytes, count: int, read: Any) -> None:
    """Opening brackets, then as many closing ones."""
    value = (start + opening * count + closing * count + end)[:MAX_BYTES]
    with bounded(len(value)):
        try:
            read(value)
        except DecodeError as error:
            check_told(error)
