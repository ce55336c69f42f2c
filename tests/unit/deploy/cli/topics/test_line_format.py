"""What `labelstream produce` takes for JSON is what the stream takes for it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


class TestLines:
    def test_objects_go_as_they_are_and_other_lines_are_wrapped(self) -> None:
        lines = [b'{"text": "a",  "id": 1}\r\n', b"\n", b'plain \xc3\xa4 "q"\n', b"[1]\n", b'{"cut": \n', b"last"]
        values = [value for _, value in LineReader().read(lines)]
        assert values[0] == b'{"text": "a",  "id": 1}'
        assert [json.loads(value)["text"] for value in values[1:]] == ['plain ä "q"', "[1]", '{"cut": ', "last"]

    def test_a_byte_order_mark_at_the_start_is_left_out(self) -> None:
        mark, lines = b"\xef\xbb\xbf", [b'{"text": "a"}\r\n', b"plain\n"]
        for first in (mark + lines[0], lines[0]):
            assert list(LineReader().read([first, lines[1]])) == list(LineReader().read(lines))
        assert list(LineReader().read([mark + b"\n", *lines])) == list(LineReader().read(lines))
        assert next(LineReader(key_separator="\t").read([mark + b"k\ta"])).key == b"k"
        assert list(LineReader(raw=True).read([mark + b"a"])) == [KeyedValue(None, mark + b"a")]

    def test_text_wraps_objects_too(self) -> None:
        [(_, value)] = LineReader(LineFormat.TEXT).read([b'{"a": 1}\n'])
        assert json.loads(value) == {"text": '{"a": 1}'}

    @given(st.lists(st.binary().filter(lambda value: b"\n" not in value)))
    def test_raw_changes_nothing(self, values: list[bytes]) -> None:
        read = LineReader(raw=True).read([value + b"\n" for value in values])
        assert list(read) == [KeyedValue(None, value) for value in values]

    def test_keys(self) -> None:
        reader = LineReader(key_field="user")
        assert next(reader.read([b'{"user": "u1", "text": "a"}'])).key == b"u1"
        assert next(reader.read([b'{"user": 5, "text": "a"}'])).key == b"5"
        separated = LineReader(raw=True, key_separator="\t").read([b"k\ta\tb\n"])
        assert list(separated) == [KeyedValue(b"k", b"a\tb")]

    @pytest.mark.parametrize(
        ("reader", "line"),
        [
            (LineReader(LineFormat.JSON), b"secret text"),
            (LineReader(LineFormat.JSON), b'"secret text"'),
            (LineReader(), b"secret text\xff"),
            (LineReader(key_field="user"), b'{"text": "secret text"}'),
            (LineReader(key_field="user"), b"secret text"),
            (LineReader(key_separator="\t"), b"secret text"),
        ],
    )
    def test_what_cannot_be_sent_is_named_by_its_line(self, reader: LineReader, line: bytes) -> None:
        with pytest.raises(LineError, match=r"^line 2: ") as raised:
            list(reader.read([b"\n", line]))
        assert "secret" not in str(raised.value)
