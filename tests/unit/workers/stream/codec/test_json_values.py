"""One value of a JSON text by itself; what is wrong is said in our words, and never quotes the value."""

from typing import Any

import pytest

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.json_values import encoding_error, kind_of, members_of, name_of, read_value
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.support.decoding import pipeline


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("more", [{}, {"text_field": "text"}, {"format": "text"}])
def test_other_encodings_are_told_by_their_marks(encoding: str, more: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match=rf"^encoded in {encoding[:6].upper()}; send UTF-8$") as caught:
        decoder(pipeline(**more))('\ufeff{"text":"good"}'.encode(encoding))
    assert caught.value.reason is Reason.INVALID_ENCODING


@pytest.mark.parametrize("payload", [b"", b"good", b"\x1agood", b"\0\x0a\x04good"])
@pytest.mark.parametrize("number", [b"\0\0\0\7", b"\0\0\0\xc8", b"\1\2\3\4"])
def test_a_registrys_framing_is_no_text(payload: bytes, number: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decoder(pipeline(format="text"))(b"\0" + number + payload)
    assert caught.value.reason is Reason.UNSUPPORTED_ENCODING


def test_text_in_utf8_is_in_no_other_encoding() -> None:
    assert encoding_error("straße".encode()) is None
    assert encoding_error(b"") is None
    assert encoding_error(b"\0abc") is None  # too short for a registry's framing


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        (b"NaN", Reason.INVALID_JSON, "f: NaN and Infinity are not valid JSON; send null"),
        (b'{"secret":1,"secret":2}', Reason.INVALID_MESSAGE, "f: duplicate key at line 1 column 22"),
        (b'"\\ud800"', Reason.INVALID_TEXT, "f: lone surrogate escape; send surrogates in pairs"),
        (b'"a\xff"', Reason.INVALID_ENCODING, "f: not UTF-8 at byte 2; send UTF-8"),
        (b"[1", Reason.INVALID_JSON, "f: EOF while parsing a list at line 1 column 2"),
    ],
)
def test_value_that_cannot_be_read_says_why(text: bytes, reason: Reason, said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_value(text, "f")
    assert (caught.value.reason, caught.value.message) == (reason, said)


def test_members_have_names_where_their_keys_are_text() -> None:
    assert members_of(b'{"a":NaN, "\\ud800":1}', "") == [("a", b"NaN"), ("", b"1")]
    assert (name_of(b'"a"'), name_of(b'"\xff"')) == ("a", "")


def test_text_without_members_is_told_by_the_parsers_problem() -> None:
    with pytest.raises(DecodeError, match=r"^EOF at 7$"):
        members_of(b'{"a":1', "EOF at 7")
    with pytest.raises(DecodeError, match="invalid JSON at byte 6"):
        members_of(b'{"a":1', "Detected duplicate key")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a decimal number"),
        ([], "a list"),
        ({}, "an object"),
        ("text", "a string"),
        ("{text", "a string"),
        (' {"a":1}', "a string of JSON, encoded twice"),
    ],
)
def test_kind_of_a_value(value: Any, kind: str) -> None:
    assert kind_of(value) == kind
