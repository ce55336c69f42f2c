"""Where values begin and end: checked for their form alone, whatever they mean."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.stream.codec.json_spans import check_value, items, member_spans, members

TEXTS = st.text(st.characters(codec="utf-8"))
TREES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


@given(TREES, st.sampled_from([None, 2]), st.booleans())
def test_members_are_what_json_says(tree: Any, indent: int | None, ascii_alone: bool) -> None:
    text = json.dumps({"a": tree, "b": [tree], "c": {"d": tree}}, indent=indent, ensure_ascii=ascii_alone).encode()
    assert {json.loads(key): json.loads(value) for key, value in members(text)} == json.loads(text)
    for end in range(len(text)):
        with pytest.raises(ValueError, match="invalid JSON"):
            members(text[:end])


@given(st.lists(TREES), st.sampled_from([None, 2]))
def test_items_are_what_json_says(tree: list[Any], indent: int | None) -> None:
    text = json.dumps(tree, indent=indent).encode()
    assert [json.loads(item) for item in items(text)] == tree
    for wrong in (text[:-1], text + b"]", b'{"a":1}', b"1", b"[1}", b"[1,]"):
        with pytest.raises(ValueError, match="invalid JSON"):
            items(wrong)


def test_spans_are_where_values_stand() -> None:
    text = b' { "a" : [1] , "b":2}'
    assert [(key, text[start:end]) for key, start, end in member_spans(text)] == [(b'"a"', b"[1]"), (b'"b"', b"2")]


@given(TREES, st.sampled_from([None, 2]))
def test_value_is_one_and_no_part_of_one(tree: Any, indent: int | None) -> None:
    text = json.dumps([tree], indent=indent).encode()
    check_value(text)
    for wrong in (text[:-1], text + b",", text + text):
        with pytest.raises(ValueError, match="invalid JSON"):
            check_value(wrong)


@pytest.mark.parametrize(
    "value",
    [
        b"9" * 10_000,
        b"NaN",
        b"-Infinity",
        b'{"a":1,"a":2}',
        b"[" * 10_000 + b"]" * 10_000,
        b'"\xff\xfe"',
        b'"\\ud800"',
    ],
    ids=["digits", "NaN", "-Infinity", "equal keys", "depth", "bytes", "surrogate"],
)
def test_value_that_no_parser_takes_has_its_place(value: bytes) -> None:
    check_value(value)
    assert members(b'{"odd": %s, "text": "a"}' % value) == [(b'"odd"', value), (b'"text"', b'"a"')]


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"null", b'{"a"}', b'{"a":1,}', b"{,}", b'{"a":1]', b"{} {}"])
def test_text_that_is_no_object_has_no_members(text: bytes) -> None:
    with pytest.raises(ValueError, match="invalid JSON at byte"):
        members(text)


@pytest.mark.parametrize("text", [b"{}", b" { } "])
def test_empty_object_has_no_members(text: bytes) -> None:
    assert members(text) == []
