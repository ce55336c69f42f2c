"""A dead letter is the input record with a reason, and loses optional parts if it is too large."""

from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.stream.codec.encoding.dead_letters import encode_dead_letter, made_key, omission
from labelstream.workers.stream.codec.rejection import Rejection

REJECTION = Rejection(Reason.INVALID_JSON, Stage.DECODE, "DecodeError", "no JSON")


def record(value: bytes | None = b"x" * 500, key: bytes | None = b"k") -> Any:
    headers = [("own", b"1" * 300)]
    return SimpleNamespace(topic="in", partition=1, offset=7, timestamp=1_000, value=value, key=key, headers=headers)


@pytest.mark.parametrize(
    ("max_bytes", "value", "has_own", "omitted"),
    [(1 << 20, b"x" * 500, True, False), (1_900, b"", True, True), (0, b"", False, True)],
)
def test_value_goes_first_and_then_the_headers(max_bytes: int, value: bytes, has_own: bool, omitted: bool) -> None:
    letter = encode_dead_letter(record(), REJECTION, max_bytes)
    headers = dict(letter.headers)
    assert letter.value == value
    assert ("own" in headers) == has_own
    assert ("labelstream.headers_omitted" in headers) == (not has_own)
    assert headers.get("labelstream.value_omitted") == (omission(b"x" * 500).encode() if omitted else None)
    assert headers["labelstream.reason"] == b"invalid_json"


def test_topic_that_requires_keys_gets_one() -> None:
    letter = encode_dead_letter(record(key=None), REJECTION, 1 << 20, keyed=True)
    assert letter.key == made_key(record()) == b"in-1-7"
    assert dict(letter.headers)["labelstream.key_made"] == b"true"


def test_omitted_value_is_known_by_size_and_hash() -> None:
    assert omission(b"abc").startswith("bytes=3;sha256=ba7816bf")
