"""The output file of `labelstream classify`: JSON lines or a table, written completely or not at all."""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from labelstream.deploy.cli.common.whole_file import whole_file
from labelstream.deploy.cli.models.answers import as_cells, as_json, renamed
from labelstream.deploy.cli.models.texts import Text
from labelstream.workers.errors import ConfigError, LabelstreamError

Answered = Sequence[tuple[Text, Any]]


class AnswerFile:
    """Writes answers. A table has the columns of the first answers, and `error` for texts without an answer."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._table: csv.DictWriter[str] | None = None
        self._given: dict[str, None] = {}  # the columns of the input
        self._is_table = path.suffix.lower() == ".csv"

    def write(self, answered: Answered) -> None:
        """Raises LabelstreamError if a text has a field for which the table has no column."""
        if not self._is_table:
            self._file.writelines(f"{as_json(*one)}\n" for one in answered)
            return
        if self._table is None:
            self._given = dict.fromkeys(name for text, _ in answered for name in text.fields)
        for text, _ in answered:
            if more := [name for name in text.fields if name not in self._given]:
                problem = f"{text.place} has the field {more[0]!r}, but the table has no column for it"
                raise LabelstreamError(f"{self._path}: {problem}; write JSON lines, to {self._path.stem}.jsonl")
        rows = [_flat(text.fields) | renamed(as_cells(answer), self._given) for text, answer in answered]
        if self._table is None:
            found = dict.fromkeys(name for row in rows for name in row if name not in self._given)
            (error,) = renamed({"error": ""}, self._given)
            names = [*self._given, *(name for name in found if name != error), error]
            self._table = csv.DictWriter(self._file, names, restval="", lineterminator="\n")
            self._table.writeheader()
        self._table.writerows(rows)


@contextmanager
def answer_file(path: Path) -> Iterator[AnswerFile]:
    """Replaces the file at a successful end of the context; otherwise the file stays unchanged.

    Raises ConfigError if the file cannot be created, StartError if it cannot be written, such as on a full disk.
    """
    if path.suffix.lower() in (".gz", ".zst", ".tsv"):
        raise ConfigError(
            "--output", f"cannot write {path.suffix} files", "give a .csv for a table, or another suffix for JSON lines"
        )
    with whole_file(path, "--output") as file:
        yield AnswerFile(path, file)


def _flat(fields: dict[str, Any]) -> dict[str, str]:
    """Cells: strings unchanged, anything else as JSON."""
    return {name: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for name, one in fields.items()}
