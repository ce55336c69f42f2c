"""Reads labeled texts from a file: JSON lines, CSV, TSV or Parquet, recognized by the suffix."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelstream.deploy.cli.common.text_file import LineError, TextFile, open_text_file, read_rows
from labelstream.deploy.cli.evaluation.fields import ExampleReader, json_object
from labelstream.workers.errors import ConfigError, EvaluationError, StartError
from labelstream.workers.file_errors import file_problem

if TYPE_CHECKING:
    from labelstream.workers.evaluation.examples import Examples

_PARQUET = (".parquet", ".pq")
_ROWS = 1_024  # of a Parquet file at a time
Rows = Iterator[tuple[str, dict[str, Any]]]


def read_data_file(name: str, reader: ExampleReader) -> "Examples":
    """Raises ConfigError if the file cannot be read, EvaluationError for a broken row, naming file and line."""
    for place, row in _parquet_rows(name) if Path(name).suffix.lower() in _PARQUET else _text_rows(name):
        reader.add(place, row)
    return reader.examples(name)


def _text_rows(name: str) -> Rows:
    with open_text_file(name) as file:
        yield from _table_rows(file) if file.separator else _objects(file)


def _table_rows(file: TextFile) -> Rows:
    try:
        for number, cells in read_rows(file.lines(), file.separator or ","):
            yield f"{file.name}:{number}", dict(cells)
    except LineError as error:  # `line 7: ...`
        raise EvaluationError(f"{file.name}:{str(error).removeprefix('line ')}; correct or remove the row") from None


def _objects(file: TextFile) -> Rows:
    for number, line in enumerate(file.lines(), 1):
        line = line.removeprefix(BOM_UTF8)
        if not line.strip():
            continue
        place = f"{file.name}:{number}"
        row = json_object(line)
        if row is None:
            raise EvaluationError(
                f"{place}: not a JSON object; write one object per line, or give a file that ends in .csv, .tsv or "
                ".parquet"
            )
        yield place, row


def _parquet_rows(name: str) -> Rows:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ConfigError(
            name, "Parquet needs the package pyarrow, which is not installed", "pip install 'labelstream[evaluate]'"
        ) from None
    try:
        with open(name, "rb") as raw, ParquetFile(raw) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{name}:{number}", row
    except pyarrow.ArrowException as error:
        reason = " ".join(str(error).split())
        raise StartError(f"{name}: not a Parquet file, or damaged: {reason}") from None
    except OSError as error:
        raise ConfigError(name, f"cannot be read ({file_problem(error, name)})", "give a file") from None
