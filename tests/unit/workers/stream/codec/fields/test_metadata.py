"""Metadata out of a record: no digit is another one."""

import json
from typing import Any

import jiter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.codec.fields.metadata import NEGATIVE_ZERO, InexactFloat, encoded
from labelstream.workers.stream.codec.rejection import DecodeError

TEXTS = st.text(st.characters(codec="utf-8"))
TREES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


def read(text: bytes) -> Any:
    return jiter.from_json(text, float_mode="lossless-float")


@given(TREES)
def test_any_value_is_spelled_as_json_says_it(tree: Any) -> None:
    text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(encoded(read(text.encode()), "a")) == tree


@pytest.mark.parametrize(
    "text", ["1.50", "1E5", "1e400", "-0.0", "0.1000000000000000055511151231257827", "9" * 400, "[1.0,{}]", '{"a":[]}']
)
def test_digits_stay_as_they_are(text: str) -> None:
    assert encoded(read(text.encode()), "a") == text


@pytest.mark.parametrize("text", [b"NaN", b"[-Infinity]", b'{"a":Infinity}'])
def test_what_is_no_number_is_refused(text: bytes) -> None:
    with pytest.raises(DecodeError, match=r"fields.metadata m: NaN and Infinity") as caught:
        encoded(read(text), "m")
    assert caught.value.reason is Reason.INVALID_JSON


@pytest.mark.parametrize("value", [1.5, [{"a": 0.1}]])
def test_float_without_its_digits_is_not_encoded(value: Any) -> None:
    with pytest.raises(InexactFloat):
        encoded(value, "m")


@pytest.mark.parametrize(
    ("text", "found"), [(b"[-0]", True), (b"-0", True), (b"-0.0", False), (b'"2026-01-05"', False)]
)
def test_negative_zero_is_found(text: bytes, found: bool) -> None:
    assert bool(NEGATIVE_ZERO.search(text)) == found
