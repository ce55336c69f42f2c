"""The text at a dotted path of any JSON; what stands there in its place is named."""

import re

import pytest

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.records.places import parse_path
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.fields.text_field import read_text_field, text_alone
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.support.decoding import pipeline

AT_PATH = [
    (b'{"a":{"b":null}}', "a.b", Reason.EMPTY_TEXT, "text_field a.b: a.b is null"),
    (b'{"a":null,"x":NaN}', "a.b.c", Reason.EMPTY_TEXT, "text_field a.b.c: a is null"),
    (b'{"a":null,"x":1,"x":1}', "a.b", Reason.EMPTY_TEXT, "text_field a.b: a is null"),
    (b'{"p":{"a":null,"a.b":1,"b":1,"b":2}}', "p.a.c", Reason.EMPTY_TEXT, "text_field p.a.c: p.a is null"),
    (b"null", "a", Reason.EMPTY_TEXT, "text_field a: the value is null"),
    (b'{"a":""}', "a", Reason.EMPTY_TEXT, "the text is empty or blank"),
    (b"{}", "a.b", Reason.INVALID_MESSAGE, "text_field a.b is missing"),
    (b'{"a":{},"x":NaN,"x":1}', "a.b", Reason.INVALID_MESSAGE, "text_field a.b is missing"),
    (b'{"a":[{"b":"x"}]}', "a.b", Reason.INVALID_MESSAGE, "text_field a.b: a must be an object, not a list"),
    (b'{"a":{"b":[{"c":1}]},"d":1,"d":1}', "a.b.c", Reason.INVALID_MESSAGE, "a.b must be an object, not a list"),
    (b'[{"a":"x"}]', "a", Reason.INVALID_MESSAGE, "text_field a: the value must be an object, not a list"),
    (b'[{"a":1,"a":1}]', "a", Reason.INVALID_MESSAGE, "text_field a: the value must be an object, not a list"),
    (b'{"a":["x"]}', "a", Reason.INVALID_MESSAGE, "text_field a: a must be a string, not a list"),
    (b'{"a":{"":1,"":2}}', "a", Reason.INVALID_MESSAGE, "a must be a string, not an object"),
    (b'{"a":NaN}', "a", Reason.INVALID_MESSAGE, "a must be a string, not a decimal number"),
    (b'{"a":true,"c":1,"c":1}', "a", Reason.INVALID_MESSAGE, "a must be a string, not a boolean"),
    (b'{"a":7,"c":1,"c":1}', "a", Reason.INVALID_MESSAGE, "a must be a string, not an integer"),
    (b'{"a":"{\\"b\\":\\"x\\"}"}', "a.b", Reason.INVALID_MESSAGE, "a must be an object, not a string of JSON"),
    (b'"{\\"a\\":\\"x\\"}"', "a", Reason.INVALID_MESSAGE, "must be an object, not a string of JSON"),
    (b'{"a":"{b"}', "a.b", Reason.INVALID_MESSAGE, "a must be an object, not a string"),
    (b'{"a":{"b":"x","b":"y"}}', "a.b", Reason.INVALID_MESSAGE, "duplicate key b on the path of text_field"),
    (b'{"a":{"b":"x"},"a":{}}', "a.b", Reason.INVALID_MESSAGE, "duplicate key a on the path of text_field"),
    (b'{"a":"\\ud800"}', "a", Reason.INVALID_TEXT, "a: lone surrogate escape"),
    (b'{"a":"\xff"}', "a", Reason.INVALID_ENCODING, "a: not UTF-8 at byte 1"),
    (b'{"a":"x","b":NaN', "a", Reason.INVALID_JSON, "EOF while parsing"),
    (b'{"b":1,"b":1,"a":"x"', "a", Reason.INVALID_JSON, "invalid JSON at byte 20"),
    (b"[" * 300, "a", Reason.INVALID_JSON, "recursion limit exceeded"),
    (b"\0\0\0\0\7\x0agood", "a", Reason.UNSUPPORTED_ENCODING, "a schema registry's framing"),
]


@pytest.mark.parametrize(("value", "path", "reason", "said"), AT_PATH)
def test_the_path_is_named_as_what_it_is(value: bytes, path: str, reason: Reason, said: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(said)) as caught:
        decoder(pipeline(text_field=path))(value)
    assert caught.value.reason is reason


def test_a_text_that_is_json_is_a_text() -> None:
    assert decoder(pipeline(text_field="log"))(b'{"log":"{\\"a\\":1}"}').text == '{"a":1}'


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (b'{"a.b":"good","a":{"b":"other"}}', "a.b"),
        (b'{"a":{"b.c":"good"}}', "a.b.c"),
        (b'{"a.b":{"c":"good"}}', "a.b.c"),
        (b'{"a":{},"a.b":{"c":"good"},"x":1,"x":NaN}', "a.b.c"),
    ],
)
def test_key_that_holds_dots_wins(value: bytes, path: str) -> None:
    assert read_text_field(value, path=parse_path(path)).text == "good"


def test_text_alone_has_nothing_beside_it() -> None:
    assert text_alone("a").model_dump(exclude_unset=True) == {"text": "a"}
