"""Labeled texts of files in each format, and errors that name file and line."""

import builtins
import gzip
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from labelstream.deploy.cli.evaluation.data_file import read_data_file
from labelstream.deploy.cli.evaluation.fields import ExampleReader, FieldNames
from labelstream.workers.errors import ConfigError, EvaluationError, StartError

ROWS = [("so, good", "1"), ("bad", "0")]


def read(path: Path, names: FieldNames = FieldNames()) -> list[tuple[Any, ...]]:  # noqa: B008
    found = read_data_file(str(path), ExampleReader(names))
    return list(zip(found.texts, found.gold, [place.removeprefix(str(path)) for place in found.places], strict=True))


@pytest.mark.parametrize(
    ("name", "content", "first"),
    [
        ("a.csv", b'text,label\n"so, good",1\nbad,0\n', 2),
        ("a.tsv", b"text\tlabel\nso, good\t1\nbad\t0\n", 2),
        ("a.jsonl", b'\xef\xbb\xbf{"text":"so, good","label":"1"}\n{"text":"bad","label":"0"}\n', 1),
        ("a.json.gz", gzip.compress(b'{"text":"so, good","label":"1"}\n{"text":"bad","label":"0"}\n'), 1),
        ("a", b'{"text":"so, good","label":"1"}\n{"text":"bad","label":"0"}\n', 1),
    ],
    ids=["csv", "tsv", "jsonl", "gz", "no-suffix"],
)
def test_rows_of_text_files(tmp_path: Path, name: str, content: bytes, first: int) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    wanted = [((text, None), label, f":{first + i}") for i, (text, label) in enumerate(ROWS)]
    assert read(path) == wanted


def test_rows_of_parquet_with_nested_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"review": [{"body": "a"}, {"body": "b"}], "labels": [["x"], []]})
    parquet.write_table(table, path)
    found = read(path, FieldNames("review.body", None, "labels"))
    assert found == [(("a", None), ["x"], ":1"), (("b", None), [], ":2")]


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name=name)
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ConfigError, match=r"Parquet needs the package pyarrow, .*; pip install 'labelstream\[evaluate\]'"
    ):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text":"a","label":1}\n{"text":\n', r"a.jsonl:2: not a JSON object; write one object per line"),
        ("a.jsonl", b'[{"text":"a","label":1}]\n', r"a.jsonl:1: not a JSON object"),
        ("a.csv", b"text,label\na,1\nb\n", r"a.csv:3: has 1 cells, but the header has 2; correct or remove the row"),
        ("a.csv", b"text,label\na,1\n\xff,0\n", r"a.csv:3: not UTF-8; correct or remove the row"),
        ("a.csv", b"text,label\n", r"a.csv: no rows; give labeled texts"),
        ("a.jsonl", b"", r"a.jsonl: no rows; give labeled texts"),
        ("a.csv", b"", r"a.csv: no rows; give labeled texts"),
    ],
    ids=["broken", "array", "short-row", "encoding", "header-only", "empty-jsonl", "empty-csv"],
)
def test_broken_line_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=said):
        read(path)


def test_missing_or_damaged_file_is_said(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.parquet"):
        with pytest.raises(ConfigError, match=rf"{name}: cannot be read \(No such file or directory\); give a file"):
            read(tmp_path / name)
    (tmp_path / "a.parquet").write_bytes(b"text,label\n" * 10)
    with pytest.raises(StartError, match=r"a.parquet: not a Parquet file, or damaged: "):
        read(tmp_path / "a.parquet")
    (tmp_path / "a.csv.gz").write_bytes(b"text,label\n")
    with pytest.raises(StartError, match=r"a.csv.gz: damaged, or not compressed as its suffix says"):
        read(tmp_path / "a.csv.gz")
