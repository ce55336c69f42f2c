"""Every row of bad input ends with its own reason; everything else is a message."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.support.decoding import decode, pipeline

BAD = [
    (b'{"text":"\xff"}', Reason.INVALID_ENCODING),
    (b"\xff", Reason.INVALID_ENCODING),
    (b'{"text":"\xed\xa0\x80"}', Reason.INVALID_ENCODING),
    (b"hello", Reason.INVALID_JSON),
    (b"", Reason.INVALID_JSON),
    (b'{"text":"a"', Reason.INVALID_JSON),
    (b'{"text":"a"} {}', Reason.INVALID_JSON),
    (b'{"text":"a","metadata":{"x":NaN}}', Reason.INVALID_JSON),
    (b'{"text":"a","metadata":{"x":-Infinity}}', Reason.INVALID_JSON),
    (b'{"text":"a","id":' + b"9" * 4_301 + b"}", Reason.INVALID_JSON),
    (b'{"text":"a","metadata":{"x":' + b"9" * 5_000 + b',"y":NaN}}', Reason.INVALID_JSON),
    (b'{"text":"a","metadata":{"x":0' + b"9" * 5_000 + b"}}", Reason.INVALID_JSON),
    (b'{"text":"a","metadata":{"' + b"9" * 5_000 + b'":1,"' + b"9" * 5_000 + b'":1}}', Reason.INVALID_MESSAGE),
    (b"[" * 100_000, Reason.INVALID_JSON),
    (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Reason.INVALID_MESSAGE),
    (b'{"a":' * 10_000 + b"1" + b"}" * 9_999, Reason.INVALID_JSON),
    (b'{"text":"a","metadata":' + b'{"a":' * 300 + b"1" + b"}" * 301, Reason.INVALID_JSON),
    (b'{"text":"a","x":NaN', Reason.INVALID_JSON),
    (b'{"text":"a","x":[NaN,]}', Reason.INVALID_JSON),
    (b'{"text":"a","x":[NaN}]', Reason.INVALID_JSON),
    (b'{"text":"a","x":NaN]', Reason.INVALID_JSON),
    (b'{"text":"a","x":NaN,}', Reason.INVALID_JSON),
    (b'{"text":"a","x":NaN "y":1}', Reason.INVALID_JSON),
    (b'{"text":"a","x":{NaN:1}}', Reason.INVALID_JSON),
    (b'{"text":"a","x":nan}', Reason.INVALID_JSON),
    (b'{"text":"a","id":1e999}', Reason.INVALID_MESSAGE),
    (b'{"text":"a","x":NaN,"id":NaN}', Reason.INVALID_JSON),
    (b'{"text":"a","x":NaN,"top_k":0}', Reason.INVALID_MESSAGE),
    (b'{"text":"a","metadata":{"x":"\\ud800"}}', Reason.INVALID_TEXT),
    (b'{"text":"a","metadata":{"x":"\xff"}}', Reason.INVALID_ENCODING),
    ('{"text":"a"}'.encode("utf-16"), Reason.INVALID_ENCODING),
    (b'{"text":"\\ud800"}', Reason.INVALID_TEXT),
    (b'{"text":"a\\udc00b"}', Reason.INVALID_TEXT),
    (b'{"text":"\\ud800\\u0041"}', Reason.INVALID_TEXT),
    (b'{"text":"\\ud8"}', Reason.INVALID_JSON),
    (b'{"text":"a","text":"b"}', Reason.INVALID_MESSAGE),
    (b'{"text":"a","metadata":{"k":1,"k":2}}', Reason.INVALID_MESSAGE),
    (b'{"text":5}', Reason.INVALID_MESSAGE),
    (b'{"text":null}', Reason.EMPTY_TEXT),
    (b'{"text":null,"x":NaN}', Reason.EMPTY_TEXT),
    (b'{"text":null,"id":1.5}', Reason.EMPTY_TEXT),
    (b'{"text":" ","id":1.5,"top_k":0}', Reason.EMPTY_TEXT),
    (b"null", Reason.INVALID_MESSAGE),
    (b"\xef\xbb\xbf", Reason.INVALID_JSON),
    (b'{"texts":"a"}', Reason.INVALID_MESSAGE),
    (b'["a"]', Reason.INVALID_MESSAGE),
    (b'"a"', Reason.INVALID_MESSAGE),
    (b'{"text":"a","top_k":"3"}', Reason.INVALID_MESSAGE),
    (b'{"text":""}', Reason.EMPTY_TEXT),
    (b'{"text":" \\n\\t\xc2\xa0"}', Reason.EMPTY_TEXT),
    (b'{"text":"' + b"a" * 2_000_000 + b'"}', Reason.TOO_LARGE),
    (b'{"text":"a","model":"nope"}', Reason.UNKNOWN_MODEL),
    (b'\x00\x00\x00\x00\x07{"text":"a"}', Reason.UNSUPPORTED_ENCODING),
    (b"\x00\x00\x00\x00\xc8", Reason.UNSUPPORTED_ENCODING),
    (b'{"text":"a","candidate_labels":[]}', Reason.INVALID_LABELS),
    (b'{"text":"a","candidate_labels":["x",""]}', Reason.INVALID_LABELS),
    (b'{"text":"a","candidate_labels":["x","x"]}', Reason.INVALID_LABELS),
    (json.dumps({"text": "a", "candidate_labels": [str(i) for i in range(101)]}).encode(), Reason.INVALID_LABELS),
    (json.dumps({"text": "a", "candidate_labels": ["x" * 257]}).encode(), Reason.INVALID_LABELS),
    (
        json.dumps({"text": "a" * 20_000, "candidate_labels": [str(i) for i in range(100)]}).encode(),
        Reason.INVALID_LABELS,
    ),
]


@pytest.mark.parametrize(("value", "reason"), BAD, ids=lambda x: x[:30] if isinstance(x, bytes) else x)
def test_bad_input_has_its_reason(value: bytes, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(value)
    assert caught.value.reason is reason
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "value",
    [
        '{"text":"a","unknown":1}',
        '{"text":"\\u0000\\u202e"}',
        '{"text":"a","model":"other"}',
        '{"text":"a","id":7}',
        '{"text":"order 12345678901234567890123","metadata":{"x":1e10}}',
        '{"text":"\\ud83d\\ude00"}',
        '{"text":"a","candidate_labels":["{}","%s","\\u0007"]}',
        '{"text":"a","metadata":{"x":9223372036854775807}}',
    ],
)
def test_odd_but_good_input(value: str) -> None:
    assert decode(value.encode()).text == json.loads(value)["text"]


def test_a_reason_never_quotes_the_message() -> None:
    for value in (
        b'{"text":"a","metadata":{"SECRET":1,"SECRET":2}}',
        b'{"text":"a","id":["SECRET"]}',
        b'"SECRET"',
        b'{"text":"a","model":"SECRET"}',
        b'{"text":{"SECRET":1}}',
    ):
        with pytest.raises(DecodeError) as caught:
            decode(value)
        assert "SECRET" not in caught.value.message


@given(st.text())
def test_plain_text(text: str) -> None:
    read = decoder(pipeline(format="text"))
    value = text.removeprefix("\ufeff")
    framed = value.startswith("\0") and len(value.encode()) >= 5
    if value.isspace() or not value or framed:
        with pytest.raises(DecodeError):
            read(text.encode())
    else:
        assert read(text.encode()).text == value


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    .map(json.dumps)
    .map(str.encode)
)
def test_any_bytes_are_a_message_or_a_decode_error(value: bytes) -> None:
    for read in (decode, decoder(pipeline(format="text")), decoder(pipeline(text_field="a.b"))):
        try:
            assert read(value).text
        except DecodeError:
            continue


@pytest.mark.parametrize(
    ("tree", "path", "text"),
    [
        ({"message": "x"}, "message", "x"),
        ({"event": {"message": "x"}}, "event.message", "x"),
        ({"event.message": "x"}, "event.message", "x"),
        ({"log.event": {"message.text": "x"}}, "log.event.message.text", "x"),
        ({"event": {"other": 1}}, "event.message", None),
        ({"event": "x"}, "event.message", None),
        ({"message": 5}, "message", None),
        (["x"], "0", None),
    ],
)
def test_text_field(tree: Any, path: str, text: str | None) -> None:
    read = decoder(pipeline(text_field=path))
    if text is not None:
        assert read(json.dumps(tree).encode()).text == text
        return
    with pytest.raises(DecodeError) as caught:
        read(json.dumps(tree).encode())
    assert caught.value.reason is Reason.INVALID_MESSAGE
