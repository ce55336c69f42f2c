"""A JSON text that no parser takes, at some paths: as a parser would find it without what stands elsewhere."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.records.places import parse_path
from labelstream.workers.stream.codec.fields.lookup import find_all
from labelstream.workers.stream.codec.fields.sparse_value import Raw, SparseValue
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.support.decoding import UNREAD

KEYS = st.sampled_from(["a", "b", "a.b", "b.a", ""])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('xy\u00e9"\\'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PATHS = st.sampled_from(
    ["a", "b", "a.b", "b.a", "a.b.a", "a[0]", "a[*]", "a[1].b", "[0].a", "[*]", "a.b[*].a", "b[*][0]"]
)


@given(TREES, PATHS, st.sampled_from([None, 1]))
def test_values_are_those_of_the_parsed_tree(tree: Any, path: str, indent: int | None) -> None:
    sparse = SparseValue(json.dumps(tree, indent=indent).encode(), "", "fields")
    found, expected = sparse.values(parse_path(path)), find_all(tree, parse_path(path))
    assert [str(one) if hasattr(one, "at") else one for one in found] == [
        str(one) if hasattr(one, "at") else one for one in expected
    ] or all(hasattr(one, "at") for one in expected)


@pytest.mark.parametrize("unread", UNREAD, ids=lambda value: value[:20])
def test_what_is_not_on_the_path_is_not_judged(unread: bytes) -> None:
    text = b'{"x":%s,"a":{"y":%s,"b":[%s,{"c":"good","z":%s}]},"x":1}' % ((unread,) * 4)
    sparse = SparseValue(text, "refused", "fields")
    assert sparse.texts(parse_path("a.b[1].c")) == ["good"]
    assert sparse.raw(parse_path("a.b[0]")) == [Raw(unread.strip())]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (b'{"a":1,"a":2}', "a", Reason.INVALID_MESSAGE),
        (b'{"a":[{"b":1,"\\u0062":2}]}', "a[0].b", Reason.INVALID_MESSAGE),
        (b'{"a":1', "b", Reason.INVALID_JSON),
        (b'{"a":1', "[0]", Reason.INVALID_JSON),
        (b'[{"a":1}', "a", Reason.INVALID_JSON),
        (b"", "a", Reason.INVALID_JSON),
        (b'{"a":"\\ud800"}', "a", Reason.INVALID_TEXT),
    ],
)
def test_what_is_on_the_path_is_judged(text: bytes, path: str, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        SparseValue(text, "refused", "fields").values(parse_path(path))
    assert caught.value.reason is reason


def test_wide_value_takes_linear_time_for_any_number_of_paths() -> None:
    text = b"{" + b'"x":0,' * 50_000 + b'"a":"good"}'
    sparse = SparseValue(text, "refused", "fields")
    assert [sparse.texts(parse_path("a")) for _ in range(20)] == [["good"]] * 20
