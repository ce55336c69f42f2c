"""The texts that `classify` reads, and their places."""

from pathlib import Path

import pytest

from labelstream.deploy.cli.common.text_file import LineError, open_text_file
from labelstream.deploy.cli.models.texts import Text, of_argument, of_file, of_lines


def read(path: Path, content: bytes, field: str | None = None) -> list[Text]:
    path.write_bytes(content)
    with open_text_file(str(path)) as file:
        return list(of_file(file, field))


def test_blank_lines_are_skipped_but_numbered() -> None:
    mark = b"\xef\xbb\xbf"
    lines = [mark + b"a\r\n", b" \n", b"\xff\n", mark + b"b"]
    found = [(text.place, text.text) for text in of_lines(lines)]
    assert found == [("line 1", "a"), ("line 3", "\ufffd"), ("line 4", "b")]
    assert of_argument(2, "so") == Text("text 2", "so", {"text": "so"})


def test_rows_keep_their_columns(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.tsv", b"id\treview\n1\tso\n2\t \n", "review")
    assert rows == [
        Text("line 2", "so", {"id": "1", "review": "so"}),
        Text("line 3", " ", {"id": "2", "review": " "}, "the text is empty or blank"),
    ]
    with pytest.raises(LineError, match="no column 'text'; give one of id as --text-field"):
        read(tmp_path / "a.csv", b"id\n1\n")


@pytest.mark.parametrize(
    ("line", "text", "problem"),
    [
        (b'{"a":{"b":"so"}}', "so", ""),
        (b'{"a.b":"so","a":{"b":"not"}}', "so", ""),
        (b'{"a":{"b":null}}', "", "no text at a.b"),
        (b'{"a":"b"}', "", "no text at a.b"),
        (b'{"a":{"b":5}}', "", "the value at a.b is not a string"),
        (b'{"a":{"b":" "}}', " ", "the text is empty or blank"),
        (b"so", "", "not a JSON object"),
        (b"[1]", "", "not a JSON object"),
        (b"\xff", "", "not a JSON object"),
    ],
)
def test_object_has_its_text_at_a_path(tmp_path: Path, line: bytes, text: str, problem: str) -> None:
    [_, found] = read(tmp_path / "lines", b'{"a.b":"first"}\n\n' + line, "a.b")
    assert (found.place, found.text, found.problem) == ("line 3", text, problem)


def test_first_line_tells_objects_from_texts(tmp_path: Path) -> None:
    assert [text.text for text in read(tmp_path / "a", b'{"text":"so"}\n{"text":"too"}\n')] == ["so", "too"]
    assert [text.text for text in read(tmp_path / "a", b'so\n{"text":"too"}\n')] == ["so", '{"text":"too"}']
    assert read(tmp_path / "a", b"") == []
