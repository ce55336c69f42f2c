"""`labelstream produce` treats the same lines as JSON as the stream does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.cli.common.text_file import LineError, Row
from labelstream.deploy.cli.topics.line_format import KeyedValue, LineReader
from tests.support.decoding import UNREAD

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("unread", [*UNREAD, b"[" * 200_000 + b"]" * 200_000], ids=lambda value: value[:20])
@pytest.mark.parametrize("format", [None, "json"])
def test_unread_part_of_json_makes_no_line_a_text(unread: bytes, format: Any) -> None:
    line = b'{"text":"c","user":"u","n":%s,"n":%s}' % (unread, unread)
    assert list(LineReader(format, key_field="user").read([line + b"\r\n"])) == [KeyedValue(b"u", line)]


def test_every_byte_order_mark_is_removed() -> None:
    lines = [MARK + b'{"text":"a"}\n', b'{"text":"b"}\n', MARK + b'{"text":"c"}\n', MARK + b"plain\n", MARK + b"\n"]
    values = [value for _, value in LineReader().read(lines)]
    assert values == [b'{"text":"a"}', b'{"text":"b"}', b'{"text":"c"}', b'{"text": "plain"}']
    separated = list(LineReader(key_separator="|").read([MARK + b'k|{"text":"a"}\n', b"k|" + MARK + b'{"text":"b"}']))
    assert separated == [KeyedValue(b"k", b'{"text":"a"}'), KeyedValue(b"k", b'{"text":"b"}')]
    assert [value for _, value in LineReader(raw=True).read([MARK + b"a", MARK + b"b"])] == [MARK + b"a", MARK + b"b"]


@pytest.mark.parametrize("value", [b"5", b"1.10", b"9" * 5_000, b"true", b"-0"])
def test_key_that_is_no_string_is_sent_as_written(value: bytes) -> None:
    assert next(LineReader(key_field="k").read([b'{"text":"a","k":%s}' % value])).key == value


@pytest.mark.parametrize(
    ("value", "key"),
    [(b'"\\u00e4"', "ä".encode()), (b'"\xff"', b"\xff"), (b'"a\tb"', b"a\tb"), (b'1,"\\u006b":2', b"2")],
)
def test_key_may_have_any_characters(value: bytes, key: bytes) -> None:
    found = next(LineReader(key_field="k").read([b'{"text":"a","k":%s}' % value])).key
    assert found == key


@pytest.mark.parametrize("line", [b'{"text":"a"', b'{"text":"a"} more', b'["text"]', b'"text"', b"{text}", b"{}}"])
def test_other_lines_are_texts(line: bytes) -> None:
    assert json.loads(next(LineReader().read([line])).value) == {"text": line.decode()}
    with pytest.raises(LineError, match="not a JSON object"):
        list(LineReader("json").read([line]))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            [b'{"text":"a"}', b'{"text":"secret" 1}'],
            r"line 2: not a JSON object \(column 18: Expecting ',' delimiter\); ",
        ),
        (
            [b'{"text":"a"}', b"secret"],
            r"line 2: not a JSON object \(column 1: Expecting value\); each line must hold one, unless --raw",
        ),
        ([b'[{"text":"secret"}]'], r"line 1: not a JSON object \(a list\); each line must hold one, unless --raw"),
        ([b'{"text":"a"},'], r"line 1: not a JSON object \(column 13: Extra data\)"),
        ([b"[" * 200_000], r"line 1: not a JSON object \((nested too deeply|column \d+: Expecting value)\)"),
        ([b"{", b'  "text": "secret"', b"}"], r"line 1: the JSON object spans several lines; .* with `jq -c \. FILE`$"),
        ([b"\n", b" [\r\n"], r"line 2: the JSON object spans several lines; .* with `jq -c '\.\[\]' FILE`$"),
    ],
)
def test_invalid_json_is_named_by_its_column(lines: list[bytes], said: str) -> None:
    for reader in (LineReader("json"), LineReader("json", key_field="text")):
        with pytest.raises(LineError, match=said) as raised:
            list(reader.read(lines))
        assert "secret" not in str(raised.value)
        assert "--wrap" not in str(raised.value)


def test_lines_of_a_json_file_must_be_json() -> None:
    with pytest.raises(LineError, match=r"line 1: not a JSON object \(column 1: Expecting value\)"):
        list(LineReader("json").read([b"plain"], is_json=True))
    with pytest.raises(LineError, match="add --wrap"):
        list(LineReader("json").read([b"plain"]))


class TestLines:
    def test_objects_are_unchanged_and_other_lines_wrapped(self) -> None:
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

    def test_wrap_wraps_objects_too(self) -> None:
        [(_, value)] = LineReader(wrap=True).read([b'{"a": 1}\n'])
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
            (LineReader("json"), b"secret text"),
            (LineReader("json"), b'"secret text"'),
            (LineReader(), b"secret text\xff"),
            (LineReader(key_field="user"), b'{"text": "secret text"}'),
            (LineReader(key_field="user"), b"secret text"),
            (LineReader(key_separator="\t"), b"secret text"),
        ],
    )
    def test_unusable_line_is_named_by_its_number(self, reader: LineReader, line: bytes) -> None:
        with pytest.raises(LineError, match=r"^line 2: ") as raised:
            list(reader.read([b"\n", line]))
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "path", "key"),
    [
        (b'{"user":{"id":"u1"}}', "user.id", b"u1"),
        (b'{"user":{"id":5,"name":"n"},"id":6}', "user.id", b"5"),
        (b'{"user.id":"flat","user":{"id":"deep"}}', "user.id", b"flat"),
        (b'{"a.b":{"c":"d"},"a":{"b":1}}', "a.b.c", b"d"),
        (b'{"a":{"x":1},"a":{"b":2}}', "a.b", b"2"),
    ],
)
def test_dotted_field_follows_rule_of_the_pipeline(line: bytes, path: str, key: bytes) -> None:
    assert next(LineReader(key_field=path).read([line])) == KeyedValue(key, line)


@pytest.mark.parametrize("line", [b'{"user":{"id":{}}}', b'{"user":"id"}', b'{"user":{"id":null}}', b'{"user":{}}'])
def test_field_without_usable_key_is_named(line: bytes) -> None:
    with pytest.raises(LineError, match=r"line 1: no JSON string, number or boolean at 'user\.id' for the key"):
        next(LineReader(key_field="user.id").read([line]))


def test_plain_text_is_the_line_or_a_field_of_it() -> None:
    assert list(LineReader("text").read([b"so\r\n", b'{"text":"a"}\n'])) == [
        KeyedValue(None, b"so"),
        KeyedValue(None, b'{"text":"a"}'),
    ]
    reader = LineReader("text", text_field="event.text", key_field="id")
    assert next(reader.read([b'{"event":{"text":"\\u00e4"},"id":1}'])) == KeyedValue(b"1", "ä".encode())


def test_wrapped_text_is_at_path_of_the_pipeline() -> None:
    [(_, value)] = LineReader("json", wrap=True, text_path="event.message").read([b"so\n"])
    assert json.loads(value) == {"event": {"message": "so"}}


ROW = Row(2, {"id": "7", "review": "so", "stars": "5"})


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (LineReader("json"), {"id": "7", "review": "so", "stars": "5"}),
        (LineReader("json", text_field="review"), {"id": "7", "stars": "5", "text": "so"}),
        (LineReader("json", text_path="review"), {"id": "7", "review": "so", "stars": "5"}),
        (LineReader("json", text_field="review", text_path="a.b"), {"id": "7", "stars": "5", "a": {"b": "so"}}),
        (LineReader("text", text_field="review"), "so"),
    ],
)
def test_row_becomes_message_of_the_pipeline(reader: LineReader, value: Any) -> None:
    [message] = reader._replace(key_field="id").read_rows([ROW])
    assert message.key == b"7"
    assert (message.value.decode() if reader.format == "text" else json.loads(message.value)) == value


@pytest.mark.parametrize("reader", [LineReader(key_field="no"), LineReader(text_field="no"), LineReader("text")])
def test_missing_column_is_named(reader: LineReader) -> None:
    with pytest.raises(LineError, match=r"line 2: no column '(no|text)'; the file has id, review, stars"):
        list(reader.read_rows([ROW]))
