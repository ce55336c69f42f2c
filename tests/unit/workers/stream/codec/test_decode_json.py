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


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'[{"text":"a"}]', "the value must be an object, not a list"),
        (b'"{\\"text\\":\\"a\\"}"', "not a string of JSON, encoded twice"),
        (b'{"text":["a"]}', "text: must be a string, not a list; for a list of texts, set fields.text to text[*]"),
        (b'{"text":"a","id":17.0}', "id: must be a string or an integer, not a decimal number"),
        (b'{"text":"a","metadata":["a"]}', "metadata: must be an object, not a list"),
        (b'{"text":"a","metadata":{"x":NaN}}', "metadata: NaN and Infinity are not valid JSON"),
        (b'{"text":NaN}', "text: NaN and Infinity are not valid JSON"),
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


def test_problem_in_metadata_of_long_integers_has_no_wrong_place() -> None:
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


RESULT = (
    b'{"schema_version":1,"event_id":"p/t/0/1","task":"text-classification","id":7,"model":"first","model_revision":"r",'
    b'"tokens":3,"truncated":false,"source":{"topic":"t","partition":0,"offset":1,"timestamp_ms":-1},"metadata":%s,'
    b'"classified_at":"2026-11-21T02:57:42Z","label":"A","score":0.5,"scores":[{"label":"A","score":0.5}],"labels":["A"],'
    b'"abstained":false%s}'
)


@pytest.mark.parametrize("metadata", [b'{"n":1.50}', b'{"n":' + b"9" * 5_000 + b"}"])
def test_of_a_result_the_record_alone_is_read(metadata: bytes) -> None:
    message = decode(RESULT % (metadata, b',"text":"good","text_pair":"pair"'))
    assert (message.text, message.text_pair, message.id, message.metadata) == ("good", "pair", 7, metadata.decode())
    assert (message.model, message.model_extra) == (None, {})


def test_result_without_its_text_is_told_how_to_get_it() -> None:
    with pytest.raises(DecodeError, match="set include_text to always") as caught:
        decode(RESULT % (b"null", b""))
    assert caught.value.reason is Reason.INVALID_MESSAGE


def test_result_of_several_texts_is_told_how_to_read_them() -> None:
    value = RESULT.replace(b'"model_revision":"r",', b"") % (b"null", b',"answers":[{}]')
    with pytest.raises(DecodeError, match=r"set fields.text to answers\[\*\].text") as caught:
        decode(value)
    assert caught.value.reason is Reason.INVALID_MESSAGE
