"""What `labelstream produce` takes for JSON is what the stream takes for it."""

import json

import pytest

from labelstream.deploy.cli.topics.line_format import KeyedValue, LineError, LineFormat, LineReader
from tests.support.decoding import UNREAD

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("unread", [*UNREAD, b"[" * 200_000 + b"]" * 200_000], ids=lambda value: value[:20])
@pytest.mark.parametrize("format", [LineFormat.AUTO, LineFormat.JSON])
def test_what_the_stream_does_not_read_makes_no_line_a_text(unread: bytes, format: LineFormat) -> None:
    line = b'{"text":"c","user":"u","n":%s,"n":%s}' % (unread, unread)
    assert list(LineReader(format, key_field="user").read([line + b"\r\n"])) == [KeyedValue(b"u", line)]


def test_files_that_were_joined_have_a_mark_each() -> None:
    lines = [MARK + b'{"text":"a"}\n', b'{"text":"b"}\n', MARK + b'{"text":"c"}\n', MARK + b"plain\n", MARK + b"\n"]
    values = [value for _, value in LineReader().read(lines)]
    assert values == [b'{"text":"a"}', b'{"text":"b"}', b'{"text":"c"}', b'{"text": "plain"}']
    separated = list(LineReader(key_separator="|").read([MARK + b'k|{"text":"a"}\n', b"k|" + MARK + b'{"text":"b"}']))
    assert separated == [KeyedValue(b"k", b'{"text":"a"}'), KeyedValue(b"k", b'{"text":"b"}')]
    assert [value for _, value in LineReader(raw=True).read([MARK + b"a", MARK + b"b"])] == [MARK + b"a", MARK + b"b"]


@pytest.mark.parametrize("value", [b"5", b"1.10", b"9" * 5_000, b"true", b"-0"])
def test_a_key_that_is_no_string_is_as_it_is_written(value: bytes) -> None:
    assert next(LineReader(key_field="k").read([b'{"text":"a","k":%s}' % value])).key == value


@pytest.mark.parametrize(
    ("value", "key"),
    [(b'"\\u00e4"', "ä".encode()), (b'"\xff"', b"\xff"), (b'"a\tb"', b"a\tb"), (b'1,"\\u006b":2', b"2")],
)
def test_a_key_whatever_its_characters(value: bytes, key: bytes) -> None:
    found = next(LineReader(key_field="k").read([b'{"text":"a","k":%s}' % value])).key
    assert found == key


@pytest.mark.parametrize("line", [b'{"text":"a"', b'{"text":"a"} more', b'["text"]', b'"text"', b"{text}", b"{}}"])
def test_other_lines_are_texts(line: bytes) -> None:
    assert json.loads(next(LineReader().read([line])).value) == {"text": line.decode()}
    with pytest.raises(LineError, match="is no JSON object"):
        list(LineReader(LineFormat.JSON).read([line]))
