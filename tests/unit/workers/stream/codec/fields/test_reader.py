"""Messages out of records of any shape."""

import json
from typing import Any

import jiter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.support.decoding import UNREAD, pipeline

EVENT = {
    "event": {"id": 7, "title": "Disk full", "message": "no space left", "lang": None},
    "level": "error",
    "took": 1.50,
    "lines": [{"t": "one"}, {"t": None}, {}, {"t": "two"}],
    "tags": ["a", "b"],
    "key": "a field",
    "wanted": {"model": "other", "k": 3, "many": True, "like": "It is {}.", "pair": "second"},
}
HEADERS = [
    ("trace", b"first"),
    ("trace", b"last"),
    ("labels", b'["x", "y"]'),
    ("k", b"2"),
    ("bad", b"\xff"),
    ("no", None),
]


def read(fields: dict[str, Any], value: Any = EVENT, **more: Any) -> TextMessage:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    decode = decoder(pipeline(models=["other"], fields={"text": "event.message", **fields}, **more))
    return decode(text, b"key-1", HEADERS)


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ("event.message", "no space left"),
        (["event.title", "event.message"], "Disk full no space left"),
        (["event.title", "event.lang", "event.none", "level"], "Disk full error"),
        ("lines[3].t", "two"),
        (["lines[0].t", "tags[*]"], "one a b"),
        (["header:trace", "key", "$.key", "header:no"], "last key-1 a field"),
    ],
)
def test_texts_are_joined_in_order(places: Any, text: str) -> None:
    assert read({"text": places}).text == text
    sparse = json.dumps(EVENT).replace('"took": 1.5', '"took": NaN, "x": 1, "x": 2').encode()
    assert read({"text": places}, sparse).text == text


def test_separator_stands_between_parts() -> None:
    assert read({"text": ["event.title", "event.none", "level"], "text_separator": "\n"}).text == "Disk full\nerror"


def test_separator_joins_the_texts_of_a_list() -> None:
    assert read({"text": "lines[*].t", "text_separator": " "}).text == "one two"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"id": "event.id"}, {"id": 7}),
        ({"id": "key"}, {"id": "key-1"}),
        ({"id": "header:trace"}, {"id": "last"}),
        ({"id": "event.none"}, {}),
        ({"id": "event.lang"}, {}),
        ({"id": "event.lang.x", "model": "header:no"}, {}),
        ({"model": "wanted.model", "top_k": "wanted.k"}, {"model": "other", "top_k": 3}),
        ({"multi_label": "wanted.many", "text_pair": "wanted.pair"}, {"multi_label": True, "text_pair": "second"}),
        ({"hypothesis_template": "wanted.like"}, {"hypothesis_template": "It is {}."}),
        ({"candidate_labels": "tags"}, {"candidate_labels": ["a", "b"]}),
        ({"candidate_labels": "lines[*].t"}, {"candidate_labels": ["one", "two"]}),
        ({"candidate_labels": "none[*].t"}, {}),
        ({"candidate_labels": "header:labels", "top_k": "header:k"}, {"candidate_labels": ["x", "y"], "top_k": 2}),
    ],
)
def test_each_part_stands_at_its_place(fields: dict[str, str], found: dict[str, Any]) -> None:
    sparse = json.dumps(EVENT).replace('"took": 1.5', '"took": NaN, "x": 1, "x": 2').encode()
    for value in (EVENT, sparse):
        message = read(fields, value).model_dump(exclude_none=True, exclude={"metadata"})
        assert message == {"text": "no space left", **found}


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        (["event.id", "level"], '{"event.id":7,"level":"error"}'),
        ({"n": "event.id", "t": "header:trace", "k": "key"}, '{"n":7,"t":"last","k":"key-1"}'),
        (["took", "event.lang", "event.none"], '{"took":1.50,"event.lang":null}'),
        ({"all": "lines[*].t"}, '{"all":["one",null,"two"]}'),
        ({"e": "tags", "x": "level.y"}, '{"e":["a","b"]}'),
        (["none"], "{}"),
    ],
)
def test_metadata_comes_with_its_digits(metadata: Any, found: str) -> None:
    event = json.dumps(EVENT, separators=(",", ":")).replace("1.5", "1.50")
    assert read({"metadata": metadata}, event.encode()).metadata == found
    sparse = event.replace("{", '{"x":NaN,"x":-0,', 1)
    assert read({"metadata": metadata}, sparse.encode()).metadata == found


def test_floats_of_metadata_keep_their_digits_in_later_records() -> None:
    decode = decoder(pipeline(fields={"text": "a", "metadata": ["n"]}))
    for number in (b"7", b'"x"', b"1.50", b"1E400", b"[2.0]", b"8"):
        value = b'{"a":"x","n":%b}' % number
        for tree in (None, jiter.from_json(value)):
            assert decode(value, None, (), tree).metadata == f'{{"n":{number.decode()}}}'


@pytest.mark.parametrize("more", [{"text_field": "a"}, {"fields": {"text": ["a", "b"]}}])
def test_value_is_not_parsed_again(more: dict[str, Any]) -> None:
    assert decoder(pipeline(**more))(b"", None, (), {"a": "known"}).text == "known"


def test_numbers_of_metadata_have_all_their_digits() -> None:
    numbers = f'{{"a":-0,"b":{"7" * 5_000},"c":1e999}}'
    value = f'{{"event":{{"message":"a"}},"n":{numbers},"x":-0}}'.encode()
    assert read({"metadata": ["n", "x"]}, value).metadata == f'{{"n":{numbers},"x":-0}}'


@pytest.mark.parametrize(
    ("fields", "value", "reason", "said"),
    [
        ({"text": "a"}, b"{}", Reason.EMPTY_TEXT, "fields.text: no text at a"),
        ({"text": ["a", "b[*]"]}, b'{"a":null,"b":[null]}', Reason.EMPTY_TEXT, "no text at a or b[*]"),
        ({"text": "a"}, b'{"a":" "}', Reason.EMPTY_TEXT, "empty or blank"),
        ({"text": "a", "id": "b"}, b'{"a":" ","b":[]}', Reason.EMPTY_TEXT, "empty or blank"),
        ({"text": "a", "id": "b.c"}, b'{"a":null,"b":"x"}', Reason.EMPTY_TEXT, "no text at a"),
        ({"text": "a"}, b'{"a":5}', Reason.INVALID_MESSAGE, "fields.text a: a must be a string, not an integer"),
        ({"text": ["a", "b"]}, b'{"a":"x","b":[1]}', Reason.INVALID_MESSAGE, "b must be a string, not a list"),
        (
            {"text": ["a[*].b", "c"]},
            b'{"a":[{"b":"x"},1]}',
            Reason.INVALID_MESSAGE,
            "a[1] must be an object, not an int",
        ),
        ({"text": ["a[*]", "b"]}, b'{"a":{}}', Reason.INVALID_MESSAGE, "a must be a list, not an object"),
        ({"text": "a"}, b'[{"a":"x"}]', Reason.INVALID_MESSAGE, "the value must be an object, not a list"),
        ({"text": "a"}, b'{"a":"x","a":"y"}', Reason.INVALID_MESSAGE, "duplicate key a on the path of fields"),
        ({"text": "a", "id": "b.c"}, b'{"a":"x","b":1}', Reason.INVALID_MESSAGE, "fields.id b.c: b must be an object"),
        ({"text": "a", "id": "b"}, b'{"a":"x","b":1.5}', Reason.INVALID_MESSAGE, "fields.id: must be a string or an"),
        ({"text": "a", "top_k": "b"}, b'{"a":"x","b":0}', Reason.INVALID_MESSAGE, "fields.top_k: "),
        ({"text": "a", "top_k": "header:trace"}, b'{"a":"x"}', Reason.INVALID_MESSAGE, "header:trace: invalid JSON"),
        ({"text": "a", "id": "header:bad"}, b'{"a":"x"}', Reason.INVALID_ENCODING, "fields.id header:bad: not UTF-8"),
        ({"text": "a", "model": "b"}, b'{"a":"x","b":"nope"}', Reason.UNKNOWN_MODEL, "not in the pipeline's models"),
        ({"text": "a", "metadata": ["b"]}, b'{"a":"x","b":NaN}', Reason.INVALID_JSON, "NaN and Infinity"),
        ({"text": "a", "metadata": ["b"]}, b'{"a":"x","b":{"c":1,"c":2}}', Reason.INVALID_MESSAGE, "duplicate key"),
        ({"text": "header:trace"}, b'{"a"', Reason.INVALID_JSON, "EOF"),
        (
            {"text": "a", "candidate_labels": "b"},
            b'{"a":"x","b":"y"}',
            Reason.INVALID_MESSAGE,
            "fields.candidate_labels: ",
        ),
        ({"text": "a", "candidate_labels": "b[*]"}, b'{"a":"x","b":1}', Reason.INVALID_MESSAGE, "b must be a list"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(fields: Any, value: bytes, reason: Reason, said: str) -> None:
    for text in (value, value.replace(b"{", b'{"x":1,"x":"\\ud800",', 1)):
        if text != value and ("duplicate" in said or not value.startswith(b'{"') or said == "EOF"):
            continue
        with pytest.raises(DecodeError) as caught:
            read(fields, text)
        assert caught.value.reason is reason
        assert said in caught.value.message


def test_parts_beside_plain_text() -> None:
    decode = decoder(pipeline(format="text", fields={"id": "key", "metadata": {"t": "header:trace"}}))
    message = decode(b"just words", b"k", HEADERS)
    assert (message.text, message.id, message.metadata) == ("just words", "k", '{"t":"last"}')


def test_text_field_keeps_its_rule_beside_fields() -> None:
    decode = decoder(pipeline(text_field="a", fields={"id": "b"}))
    assert decode(b'{"a":"x","b":"y"}').id == "y"
    with pytest.raises(DecodeError, match="text_field a is missing") as caught:
        decode(b'{"b":"y"}')
    assert caught.value.reason is Reason.INVALID_MESSAGE


@pytest.mark.parametrize("unread", UNREAD, ids=lambda value: value[:20])
def test_what_is_not_read_is_not_judged(unread: bytes) -> None:
    value = b'{"x":%s, "event":{"x":%s,"message":"a","id":5,"y":%s},"x":1}' % (unread, unread, unread)
    message = read({"id": "event.id", "metadata": {"i": "event.id"}}, value)
    assert (message.text, message.id, message.metadata) == ("a", 5, '{"i":5}')


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc") | st.text(), inner),
    )
    .map(json.dumps)
    .map(str.encode)
)
def test_any_bytes_are_a_message_or_a_decode_error(value: bytes) -> None:
    fields = {
        "text": ["a", "b[*].c", "c"],
        "id": "a.b",
        "top_k": "c",
        "candidate_labels": "b",
        "metadata": ["a", "b[*]"],
    }
    try:
        message = decoder(pipeline(fields=fields))(value)
    except DecodeError:
        return
    assert message.text
    json.loads(str(message.metadata))
