"""The user's text files: compressed or not, lines or rows, and their errors."""

import gzip
import io
from pathlib import Path

import pytest
import zstandard

from labelstream.deploy.cli.common.text_file import LineError, open_text_file, read_rows
from labelstream.workers.errors import ConfigError, StartError

CONTENT = b"".join(b"line %d\n" % number for number in range(5_000))
PACK = {".gz": gzip.compress, ".zst": zstandard.compress, "": bytes}


def lines_of(path: Path) -> bytes:
    with open_text_file(str(path)) as file:
        return b"".join(file.lines())


@pytest.mark.parametrize("suffix", PACK)
def test_compressed_files_are_read_by_their_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"lines.txt{suffix}"
    path.write_bytes(PACK[suffix](CONTENT))
    assert lines_of(path) == CONTENT
    path.write_bytes(PACK[suffix](CONTENT) * 3)  # one behind the other
    assert lines_of(path) == CONTENT * 3
    path.write_bytes(PACK[suffix](b""))
    assert lines_of(path) == b""


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damaged", [lambda packed: packed[:-3], lambda packed: CONTENT], ids=["cut off", "plain"])
def test_damaged_file_raises_start_error(tmp_path: Path, suffix: str, damaged: object) -> None:
    path = tmp_path / f"lines{suffix}"
    path.write_bytes(damaged(PACK[suffix](CONTENT)))  # type: ignore[operator]
    with pytest.raises(StartError, match="damaged, or not compressed as its suffix says: "):
        lines_of(path)


@pytest.mark.parametrize(
    ("name", "separator"),
    [("a.csv", ","), ("a.CSV.gz", ","), ("a.tsv.zst", "\t"), ("a.jsonl", None), ("a.csv.txt", None), ("csv", None)],
)
def test_suffix_decides_separator(tmp_path: Path, name: str, separator: str | None) -> None:
    (tmp_path / name).touch()
    with open_text_file(str(tmp_path / name)) as file:
        assert (file.separator, file.is_regular, file.is_terminal) == (separator, True, False)


@pytest.mark.parametrize(
    ("name", "is_json"),
    [("a.jsonl", True), ("a.b.json.gz", True), ("a.NDJSON.zst", True), ("a.txt", False), ("a", False)],
)
def test_suffix_decides_json(tmp_path: Path, name: str, is_json: bool) -> None:
    (tmp_path / name).write_bytes(b"")
    with open_text_file(str(tmp_path / name)) as file:
        assert file.is_json is is_json


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none: cannot be read \(No such file or directory\)"):
        lines_of(tmp_path / "none")


def test_rows_have_the_cells_of_their_columns() -> None:
    table = b'\xef\xbb\xbfid,text\r\n1,"a ""word"", and\nanother"\r\n\r\n2,\xc3\xa4\n'
    assert list(read_rows(io.BytesIO(table), ",")) == [
        (3, {"id": "1", "text": 'a "word", and\nanother'}),
        (5, {"id": "2", "text": "ä"}),
    ]
    [row] = read_rows(io.BytesIO(b'id\ttext\n1\t"so" he said\n'), "\t")
    assert row == (2, {"id": "1", "text": '"so" he said'})
    assert list(read_rows(io.BytesIO(b""), ",")) == []


def test_cell_may_exceed_limit_of_csv_module() -> None:
    [row] = read_rows(io.BytesIO(b"text\n" + b"x" * 300_000), ",")
    assert len(row.cells["text"]) == 300_000


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"a,b\n1\n", "line 2: has 1 cells, but the header has 2"),
        (b"a,b\n1,2,3\n", "line 2: has 3 cells, but the header has 2"),
        (b"a;b\n1, 2;3\n", "line 2: has 2 cells, but the header has 1, with ';' in place of ',' between its names"),
        (b"a,a\n1,2\n", "line 1: the header has two columns of the same name"),
        (b'a\n"secret\n', "line 2: not a row of a table"),
        (b"a\nsecret \xff\n", "line 2: not UTF-8"),
    ],
)
def test_unreadable_row_is_named_by_its_line(table: bytes, said: str) -> None:
    with pytest.raises(LineError) as raised:
        list(read_rows(io.BytesIO(table), ","))
    assert str(raised.value).startswith(said)
    assert "secret" not in str(raised.value)
