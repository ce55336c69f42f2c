"""An answer in a record: without it, the bytes are those that came in."""

import json
from datetime import UTC, datetime
from typing import Any

import jiter
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.enrichment import ENRICHMENT
from labelstream.workers.classifier import Prediction
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.encoding.enrich import Enricher
from labelstream.workers.stream.codec.encoding.results import value_encoder
from labelstream.workers.stream.codec.json_spans import member_spans, members
from labelstream.workers.stream.codec.json_values import name_of
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.support.decoding import UNREAD, pipeline

PART = b'{"label":"}]","score":0.5}'
TEXTS = st.text(st.characters(codec="utf-8"))
NAMES = st.sampled_from(["labelstream", "label\u00e9", "\U0001f600", "a.b", "source"])
TREES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | NAMES, inner, max_size=3),
    max_leaves=8,
)
SPACE = st.text(" \t\n\r", max_size=2).map(str.encode)
OBJECTS = st.dictionaries(TEXTS, TREES, max_size=4)


def written(tree: Any, indent: int | None, ascii_alone: bool) -> bytes:
    return json.dumps(tree, indent=indent, ensure_ascii=ascii_alone).encode()


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans(), SPACE, SPACE, NAMES, st.booleans(), st.booleans())
def test_record_without_the_field_is_what_came_in(
    tree: dict[str, Any],
    indent: int | None,
    ascii_alone: bool,
    before: bytes,
    after: bytes,
    field: str,
    mark: bool,
    replaces: bool,
) -> None:
    tree.pop(field, None)
    enricher = Enricher(field, replaces)
    value = before + written(tree, indent, ascii_alone) + after
    enricher.check(value)
    value = b"\xef\xbb\xbf" + value if mark else value
    enriched = enricher.add(value, PART)
    added = b"%b:%b" % (json.dumps(field, ensure_ascii=False).encode(), PART)
    added = b"," + added if tree else added
    at = enriched.rindex(added)
    assert enriched[:at] + enriched[at + len(added) :] == value
    read = json.loads(enriched.removeprefix(b"\xef\xbb\xbf"))
    assert list(read) == [*tree, field]
    assert read[field] == json.loads(PART)


@given(OBJECTS, OBJECTS, TREES, st.sampled_from([None, 1]), st.booleans(), NAMES)
def test_replaced_value_stands_in_its_old_place(
    before: dict[str, Any], after: dict[str, Any], old: Any, indent: int | None, ascii_alone: bool, field: str
) -> None:
    after = {key: value for key, value in after.items() if key not in before}
    tree = {**before, field: old, **{key: value for key, value in after.items() if key != field}}
    value = written(tree, indent, ascii_alone)
    enricher = Enricher(field, True)
    enricher.check(value)
    enriched = enricher.add(value, PART)
    ((start, end),) = [(start, end) for key, start, end in member_spans(value) if name_of(key) == field]
    assert enriched == value[:start] + PART + value[end:]
    with pytest.raises(DecodeError, match="set on_existing to replace") as caught:
        Enricher(field, False).check(value)
    assert caught.value.reason is Reason.INVALID_MESSAGE


@pytest.mark.parametrize("unread", UNREAD, ids=lambda value: value[:20])
def test_what_is_not_read_stays_as_it_is(unread: bytes) -> None:
    value = b'{ "x" :%s , "y":%s,"y":1 } ' % (unread, unread)
    enricher = Enricher("labelstream", False)
    enricher.check(value)
    enriched = enricher.add(value, PART)
    assert enriched == value[:-2] + b',"labelstream":' + PART + b"} "
    assert members(enriched)[:3] == members(value)


@pytest.mark.parametrize(
    ("value", "enriched"),
    [
        (b"{}", b'{"f":1}'),
        (b" { \n} ", b' { \n"f":1} '),
        (b'{"a":"{"}', b'{"a":"{","f":1}'),
        (b'{"a":{}}', b'{"a":{},"f":1}'),
        (b'{"a":1 }\n', b'{"a":1 ,"f":1}\n'),
        (b'{"a":{"f":2}}', b'{"a":{"f":2},"f":1}'),
        (b'{"a":"\\"f\\":"}', b'{"a":"\\"f\\":","f":1}'),
        (b'\xef\xbb\xbf{"f":2,"g":3}', b'\xef\xbb\xbf{"f":1,"g":3}'),
        (b'{"\\u0066" : [2] ,"g":3}', b'{"\\u0066" : 1 ,"g":3}'),
        (b'{"f":2,"x":1,"x":NaN}', b'{"f":1,"x":1,"x":NaN}'),
    ],
)
def test_no_byte_is_added_or_lost(value: bytes, enriched: bytes) -> None:
    enricher = Enricher("f", True)
    enricher.check(value.removeprefix(b"\xef\xbb\xbf"))
    assert enricher.add(value, b"1") == enriched


@pytest.mark.parametrize("value", [b'{"f":1,"f":2}', b'{"f":1,"x":NaN,"\\u0066":2}'])
@pytest.mark.parametrize("replaces", [True, False])
def test_field_that_is_there_twice_is_refused(value: bytes, replaces: bool) -> None:
    with pytest.raises(DecodeError, match="has this field twice") as caught:
        Enricher("f", replaces).check(value)
    assert caught.value.reason is Reason.INVALID_MESSAGE


@pytest.mark.parametrize("value", [b"[]", b'"{}"', b"1", b"null", b" []"])
def test_value_that_is_no_object_is_refused(value: bytes) -> None:
    with pytest.raises(DecodeError, match="must be a JSON object") as caught:
        Enricher("f", True).check(value)
    assert caught.value.reason is Reason.INVALID_MESSAGE


def test_deep_record_is_enriched_as_well() -> None:
    value = b'{"x":' + b"[" * 1_000 + b'"f"' + b"]" * 1_000 + b"}"
    with pytest.raises(ValueError, match="recursion"):
        jiter.from_json(value)
    enricher = Enricher("f", False)
    enricher.check(value)
    assert enricher.add(value, b"1") == value[:-1] + b',"f":1}'


@given(
    st.binary()
    | (OBJECTS | st.dictionaries(st.sampled_from("abf"), TREES | TEXTS, max_size=3)).map(json.dumps).map(str.encode),
    st.sampled_from([{}, {"text_field": "a"}, {"fields": {"text": ["a", "b"], "id": "key"}}]),
    st.booleans(),
)
def test_any_bytes_are_enriched_or_refused(value: bytes, more: dict[str, Any], replaces: bool) -> None:
    on_existing = "replace" if replaces else "dead_letter"
    settings = pipeline(output_shape="enrich", enrich_field="f", on_existing=on_existing, **more)
    try:
        message = decoder(settings)(value, b"k")
    except DecodeError:
        return
    record = ConsumerRecord("in", 0, None, 1, -1, 0, b"k", value, [], None, 1, len(value), -1)
    answer = Prediction(("A",), (0.5,), 3, False, "r")
    enriched = json.loads(value_encoder("p", settings)(record, message, "m", answer, datetime.now(UTC)))
    ENRICHMENT.validate_json(json.dumps(enriched.pop("f")))
    before = json.loads(value)
    before.pop("f", None)
    assert repr(enriched) == repr(before)
