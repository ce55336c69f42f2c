"""What is not read is not judged; what is read comes as it is, and what is wrong with it is said."""

import gc
import re
import time
import tracemalloc
from typing import Any

import pytest

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import Verbatim
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.decode_json import MAX_UNKNOWN
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.support.decoding import UNREAD, decode, pipeline


@pytest.mark.parametrize("unread", UNREAD, ids=lambda value: value[:20])
@pytest.mark.parametrize("space", [b"", b" \n\t\r"])
def test_what_is_not_read_is_not_judged(unread: bytes, space: bytes) -> None:
    value = b'{"x":%s,"text":"a","y":%s,"y":NaN,"metadata":{"n":1.0 }}' % (unread, unread)
    message = decode(space + value.replace(b":", b":" + space) + space)
    assert (message.text, set(message.model_extra or ())) == ("a", {"x", "y"})
    assert isinstance(message.metadata, Verbatim)
    assert message.metadata == '{"n":' + space.decode() + "1.0 }"
    read = decoder(pipeline(text_field="e.message"))
    assert read(b'{"x":%s, "e":{"x":%s,"message":"a","y":%s},"x":1}' % (unread, unread, unread)).text == "a"


AT_PATH = [
    (b'{"a":{"b":null}}', "a.b", Reason.EMPTY_TEXT, "text_field a.b: a.b is null"),
    (b'{"a":null,"x":NaN}', "a.b.c", Reason.EMPTY_TEXT, "text_field a.b.c: a is null"),
    (b'{"a":null,"x":1,"x":1}', "a.b", Reason.EMPTY_TEXT, "text_field a.b: a is null"),
    (b'{"p":{"a":null,"a.b":1,"b":1,"b":2}}', "p.a.c", Reason.EMPTY_TEXT, "text_field p.a.c: p.a is null"),
    (b"null", "a", Reason.EMPTY_TEXT, "text_field a: the value is null"),
    (b'{"a":""}', "a", Reason.EMPTY_TEXT, "the text is empty or blank"),
    (b"{}", "a.b", Reason.INVALID_MESSAGE, "text_field a.b is missing"),
    (b'{"a":{},"x":NaN,"x":1}', "a.b", Reason.INVALID_MESSAGE, "text_field a.b is missing"),
    (b'{"a":[{"b":"x"}]}', "a.b", Reason.INVALID_MESSAGE, "text_field a.b: a must be an object, and is a list"),
    (b'{"a":{"b":[{"c":1}]},"d":1,"d":1}', "a.b.c", Reason.INVALID_MESSAGE, "a.b must be an object, and is a list"),
    (b'[{"a":"x"}]', "a", Reason.INVALID_MESSAGE, "text_field a: the value must be an object, and is a list"),
    (b'[{"a":1,"a":1}]', "a", Reason.INVALID_MESSAGE, "text_field a: the value must be an object, and is a list"),
    (b'{"a":["x"]}', "a", Reason.INVALID_MESSAGE, "text_field a: a must be a string, and is a list"),
    (b'{"a":{"":1,"":2}}', "a", Reason.INVALID_MESSAGE, "a must be a string, and is an object"),
    (b'{"a":NaN}', "a", Reason.INVALID_MESSAGE, "a must be a string, and is a decimal number"),
    (b'{"a":true,"c":1,"c":1}', "a", Reason.INVALID_MESSAGE, "a must be a string, and is a boolean"),
    (b'{"a":7,"c":1,"c":1}', "a", Reason.INVALID_MESSAGE, "a must be a string, and is an integer"),
    (b'{"a":"{\\"b\\":\\"x\\"}"}', "a.b", Reason.INVALID_MESSAGE, "a must be an object, and is a string that holds"),
    (b'"{\\"a\\":\\"x\\"}"', "a", Reason.INVALID_MESSAGE, "must be an object, and is a string that holds JSON"),
    (b'{"a":"{b"}', "a.b", Reason.INVALID_MESSAGE, "a must be an object, and is a string"),
    (b'{"a":{"b":"x","b":"y"}}', "a.b", Reason.INVALID_MESSAGE, "duplicate key b on the path of text_field"),
    (b'{"a":{"b":"x"},"a":{}}', "a.b", Reason.INVALID_MESSAGE, "duplicate key a on the path of text_field"),
    (b'{"a":"\\ud800"}', "a", Reason.INVALID_TEXT, "a: a lone surrogate escape is no text"),
    (b'{"a":"\xff"}', "a", Reason.INVALID_ENCODING, "a: not UTF-8 at byte 1"),
    (b'{"a":"x","b":NaN', "a", Reason.INVALID_JSON, "EOF while parsing"),
    (b'{"b":1,"b":1,"a":"x"', "a", Reason.INVALID_JSON, "something else than JSON at byte 20"),
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
    ("value", "said"),
    [
        (b'[{"text":"a"}]', "the value must be an object, and is a list"),
        (b'"{\\"text\\":\\"a\\"}"', "and is a string that holds JSON, which was encoded twice"),
        (b'{"text":["a"]}', "text: Input should be a valid string, not a list"),
        (b'{"text":"a","id":17.0}', "id: must be a string or an integer, and is a decimal number"),
        (b'{"text":"a","metadata":["a"]}', "metadata: must be an object, and is a list"),
        (b'{"text":"a","metadata":{"x":NaN}}', "metadata: NaN and Infinity are no numbers of JSON"),
        (b'{"text":NaN}', "text: NaN and Infinity are no numbers of JSON"),
        (b'{"text":"a","candidate_labels":"x, y"}', "candidate_labels: Input should be a valid list, not a string"),
        (b"{}", "text: Field required"),
        (b'{"text":"a","text":"b"}', "duplicate key text"),
        (b'{"text":"a","metadata":{"x":1,"x":2}}', "metadata: duplicate key at line 1 column 12"),
    ],
)
def test_fields_are_named_with_what_is_wrong(value: bytes, said: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(said)):
        decode(value)


@pytest.mark.parametrize("more", [{}, {"text_field": "text"}])
def test_a_byte_order_mark_is_no_part_of_the_value(more: dict[str, Any]) -> None:
    assert decoder(pipeline(**more))(b'\xef\xbb\xbf{"text":"good"}').text == "good"
    assert decoder(pipeline(format="text"))(b"\xef\xbb\xbfgood").text == "good"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("more", [{}, {"text_field": "text"}, {"format": "text"}])
def test_other_encodings_are_told_by_their_marks(encoding: str, more: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match=rf"^{encoding[:6].upper()}, not UTF-8$") as caught:
        decoder(pipeline(**more))('\ufeff{"text":"good"}'.encode(encoding))
    assert caught.value.reason is Reason.INVALID_ENCODING


@pytest.mark.parametrize("payload", [b"", b"good", b"\x1agood", b"\0\x0a\x04good"])
@pytest.mark.parametrize("number", [b"\0\0\0\7", b"\0\0\0\xc8", b"\1\2\3\4"])
def test_a_registrys_framing_is_no_text(payload: bytes, number: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decoder(pipeline(format="text"))(b"\0" + number + payload)
    assert caught.value.reason is Reason.UNSUPPORTED_ENCODING


DIGITS = [
    "1.0",
    "1e5",
    "1E5",
    "1.10",
    "-0",
    "-0.0",
    "12345678901234567890",
    "1.2345678901234567e+19",
    "12345678901234567890.123",
    "1e999",
    "9" * 400,
    "9" * 5_000,
    "-0." + "1" * 5_000 + "e-" + "9" * 5_000,
]


@pytest.mark.parametrize("number", DIGITS, ids=lambda number: number[:25])
@pytest.mark.parametrize(
    "value",
    [
        '{"metadata":%s,"text":"a"}',
        '{"text":"a", "metadata" : %s }',
        '{"text":"metadata","metadata":%s,"x":NaN}',
        '{"x":{"metadata":{"n":1}},"metadata":%s,"text":"a"}',
        '{"text":"\\"metadata\\":{}","metadata":%s }',
        '{"x":{"metadata":{"n":1}},"\\u006detadata":%s,"text":"a"}',
        '{"text":"\u00e9","metadata":%s,"id":"\\"metadata"}',
    ],
)
def test_metadata_keeps_its_digits(number: str, value: str) -> None:
    metadata = f'{{"n": {number},"d":[{{"metadata":{number}}} ]}}'
    found = decode((value % metadata).encode()).metadata
    assert isinstance(found, Verbatim)
    assert found == metadata


def test_what_is_wrong_with_metadata_of_long_integers_has_no_wrong_place() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(b'{"text":"a","metadata":{"a":%s,"a":1}}' % (b"7" * 5_000))
    assert str(caught.value) == "metadata: duplicate key"


@pytest.mark.parametrize("digits", ["12345678901234567890123", "9" * 4_300])
def test_an_id_keeps_its_digits(digits: str) -> None:
    assert str(decode(b'{"text":"a","id":-%s}' % digits.encode()).id) == f"-{digits}"


@pytest.mark.parametrize(
    "odd",
    [
        b"[" * 490_000 + b"]" * 490_000,
        b'"' + b"\\\\" * 490_000 + b'\\ud800"',
        b"[1" + b",1" * 490_000 + b",NaN]",
        b'{"a":1' + b',"a":1' * 150_000 + b"}",
    ],
    ids=["deep", "escapes", "long", "wide"],
)
def test_a_large_text_that_is_odd_takes_linear_time(odd: bytes) -> None:
    read = decoder(pipeline(text_field="message"))
    started = time.process_time()
    assert read(b'{"x":%s,"message":"a"}' % odd).text == "a"
    with pytest.raises(DecodeError):
        read(b'{"x":%s' % odd)
    assert time.process_time() - started < 10


def held_of(value: bytes) -> int:
    """Bytes that a decoded message holds."""
    tracemalloc.start()
    try:
        held = decode(value)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] + 0 * len(held.text)
    finally:
        tracemalloc.stop()


NAMES = b",".join(b'"%d":{}' % number for number in range(30_000))


@pytest.mark.parametrize(
    "value",
    [
        b'{"text":"x","metadata":{"a":[%s]}}' % b",".join([b"{}"] * 90_000),
        b'{"text":"x","metadata":{%s}}' % NAMES,
        b'{"text":"x",%s}' % NAMES,
        b'{"text":"x","n":NaN,%s}' % NAMES,
        b'{"text":"x","unknown":{%s}}' % NAMES,
        ('{"text":"' + "x" * 270_000 + '\U0001f600"}').encode(),
    ],
    ids=["list", "keys", "unknown", "odd", "deep", "wide"],
)
def test_decoded_message_memory_is_bounded_by_its_bytes(value: bytes) -> None:
    """A tree of metadata or of unknown fields takes 15 to 27 times its bytes, a text in Python 4 times at most."""
    assert held_of(value) < 4.1 * len(value) + 10_000


def test_names_of_unknown_fields_are_counted_up_to_a_number() -> None:
    message = decode(b'{"id":7,%s,"text":"x"}' % NAMES)
    assert (message.text, message.id) == ("x", 7)
    assert message.model_extra == {str(number): None for number in range(MAX_UNKNOWN)}


def test_a_list_of_wrong_labels_is_one_error() -> None:
    """350,000 of them took 0.9 s and 300 MiB."""
    began = time.process_time()
    with pytest.raises(DecodeError) as caught:
        decode(b'{"text":"x","candidate_labels":[%s]}' % b",".join([b"{}"] * 300_000))
    assert time.process_time() - began < 0.3
    assert caught.value.message == "candidate_labels: Input should be a valid string"
