"""Records that meet the conditions of their pipeline, and those that do not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.codec.fields.conditions import ConditionCheck
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.support.decoding import pipeline

VALUE = {"level": "error", "n": 5, "f": 1.0, "yes": True, "null": None, "e": {"code": "E42"}, "l": [1]}
HEADERS = [("kind", b"old"), ("kind", b"new"), ("bytes", b"\xff"), ("none", None)]


def check(only_if: Any = (), now_s: float = 1_000.0, **more: Any) -> ConditionCheck:
    return ConditionCheck(pipeline(only_if=only_if, **more), lambda: now_s)


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"field": "level", "equals": "error"}, True),
        ({"field": "level", "equals": "Error"}, False),
        ({"field": "e.code", "equals": "E42"}, True),
        ({"field": "l[0]", "equals": 1}, True),
        ({"field": "n", "equals": "5"}, False),
        ({"field": "n", "equals": 5}, True),
        ({"field": "f", "equals": 1}, True),
        ({"field": "yes", "equals": True}, True),
        ({"field": "yes", "equals": 1}, False),
        ({"field": "f", "equals": True}, False),
        ({"field": "null", "equals": None}, True),
        ({"field": "gone", "equals": None}, False),
        ({"field": "level", "in": ["warn", "error"]}, True),
        ({"field": "n", "in": ["5", True, 6]}, False),
        ({"field": "level", "matches": "^err"}, True),
        ({"field": "level", "matches": "rr"}, True),
        ({"field": "level", "matches": "^rr"}, False),
        ({"field": "n", "matches": "5"}, False),
        ({"field": "gone", "matches": ""}, False),
        ({"field": "null", "exists": True}, True),
        ({"field": "gone", "exists": False}, True),
        ({"field": "level.x", "exists": True}, False),
        ([{"field": "n", "equals": 5}, {"field": "level", "equals": "warn"}], False),
        ([{"field": "n", "equals": 5}, {"field": "level", "equals": "error"}], True),
    ],
)
def test_field_meets_its_condition(condition: Any, met: bool) -> None:
    text = json.dumps(VALUE).encode()
    sparse = text.replace(b"{", b'{"x":NaN,"x":1,', 1)
    for value in (text, b"\xef\xbb\xbf" + text, sparse):
        assert check(condition).takes_value(value) is met


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"header": "kind", "equals": "new"}, True),
        ({"header": "kind", "equals": "old"}, False),
        ({"header": "kind", "in": ["new"]}, True),
        ({"header": "kind", "matches": "e.$"}, True),
        ({"header": "bytes", "exists": True}, True),
        ({"header": "bytes", "matches": ""}, False),
        ({"header": "none", "exists": True}, True),
        ({"header": "gone", "exists": False}, True),
        ({"header": "gone", "equals": ""}, False),
    ],
)
def test_header_meets_its_condition(condition: Any, met: bool) -> None:
    made = check(condition)
    assert made.takes(-1, HEADERS) is met
    assert made.takes_value(b"no JSON")


@pytest.mark.parametrize(
    ("timestamp_ms", "met"), [(-1, True), (1_000_000, True), (940_000, True), (939_999, False), (2_000_000, True)]
)
def test_age_counts_from_the_timestamp(timestamp_ms: int, met: bool) -> None:
    assert check(max_age_s=60).takes(timestamp_ms, ()) is met
    assert check(max_age_s=60).is_too_old(timestamp_ms) is not met


@pytest.mark.parametrize(
    ("value", "reason"), [(b"no JSON", Reason.INVALID_JSON), (b'{"a":1,"a":2}', Reason.INVALID_MESSAGE)]
)
def test_value_that_cannot_be_judged_is_refused(value: bytes, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        check({"field": "a", "exists": True}).takes_value(value)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("condition", "value", "met"),
    [
        ({"field": "a", "exists": True}, '{"a": "\\ud800"}', True),
        ({"field": "a", "exists": True}, '{"a": %s}' % ("9" * 5_000), True),
        ({"field": "a", "exists": True}, '{"a": {"x": 1, "x": 2}}', True),
        ({"field": "a", "equals": 5}, '{"a": %s}' % ("9" * 5_000), False),
        ({"field": "a", "equals": 0}, '{"a": NaN, "x": 1, "x": 2}', False),
        ({"field": "a", "in": [0, 1]}, '{"a": -Infinity, "x": 1, "x": 2}', False),
        ({"field": "a", "equals": "x"}, '{"a": [NaN, "\\ud800"]}', False),
        ({"field": "a.b", "equals": "x"}, '{"a": "\\ud800"}', False),
        ({"field": "a[0].b", "exists": False}, '{"a": "\\ud800"}', True),
    ],
)
def test_value_that_no_condition_reads_is_not_judged(condition: Any, value: str, met: bool) -> None:
    assert check(condition).takes_value(value.encode()) is met


def test_too_large_value_is_left_to_the_decoder() -> None:
    assert check({"field": "a", "exists": True}, limits={"max_message_bytes": 64}).takes_value(b"x" * 65)


def test_parsed_value_is_left_for_the_decoder() -> None:
    made = check({"field": "a", "equals": 1})
    assert made.takes_value(b'\xef\xbb\xbf{"a":1}')
    assert made.tree == {"a": 1}
    made.takes_value(b'{"a":1,"x":1,"x":2}')
    assert made.tree is None


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))


@given(SCALARS, SCALARS)
def test_equal_values_are_of_one_type(value: Any, wanted: Any) -> None:
    met = check({"field": "a", "equals": wanted}).takes_value(json.dumps({"a": value}).encode())
    numbers = all(type(one) in (int, float) for one in (value, wanted))
    assert met == (value == wanted and (numbers or type(value) is type(wanted)))
