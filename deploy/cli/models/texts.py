"""Reads the texts for `labelstream classify`: from arguments, stdin, or a file's lines, objects or rows."""

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from labelstream.deploy.cli.common.text_file import LineError, TextFile, read_rows
from labelstream.deploy.cli.models.message_options import OptionError, of_cells, of_fields
from labelstream.workers.classifier import Fault

DEFAULT_FIELD = "text"
_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class Text(NamedTuple):
    """`place`: the line or argument, for the user. `fields`: all fields of the row or object.

    `problem`, `fault`: why the text cannot be classified; `problem` is empty if it can. `options`: other fields of
    its `Request`.
    """

    place: str
    text: str
    fields: dict[str, Any]
    problem: str = ""
    options: Mapping[str, Any] = _NO_OPTIONS
    fault: Fault = Fault.INVALID_MESSAGE


def of_argument(number: int, text: str) -> Text:
    return Text(f"text {number}", text, {"text": text})


def of_lines(lines: Iterable[bytes]) -> Iterator[Text]:
    """Texts of non-blank lines, without byte order marks. Joined files have several marks."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(BOM_UTF8).decode("utf-8", "replace").rstrip("\r\n")
        if text.strip():
            yield Text(f"line {number}", text, {"text": text})


def of_file(file: TextFile, field: str | None) -> Iterator[Text]:
    """Texts of rows (by the suffix), of objects (if `field` is given or the first line is one), or of lines.

    `field`: the column or the dotted path of the text, which is then all that is read, as with a pipeline's
    `text_field`. Otherwise a row or object is a message with options. Raises LineError for an invalid row.
    """
    if file.separator is not None:
        rows = _of_rows(file, field or DEFAULT_FIELD)
        return rows if field else (_with_options(row, of_cells) for row in rows)
    lines = iter(file.lines())
    first = next(lines, b"")
    lines = chain([first], lines)
    if field is not None:
        return _of_objects(lines, field)
    if not isinstance(_parsed(first), dict):
        return of_lines(lines)
    return (_with_options(text, of_fields) for text in _of_objects(lines, DEFAULT_FIELD))


def _of_rows(file: TextFile, column: str) -> Iterator[Text]:
    for number, cells in read_rows(file.lines(), file.separator or ","):
        if column not in cells:
            columns = ", ".join(cells)
            raise LineError(f"{file.name}: no column {column!r}; give one of {columns} as --text-field")
        yield _checked(f"line {number}", cells[column], dict(cells))


def _of_objects(lines: Iterable[bytes], path: str) -> Iterator[Text]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        tree, place = _parsed(line), f"line {number}"
        if isinstance(tree, dict):
            yield _checked(place, _at(tree, path), tree, path)
        else:
            yield Text(place, "", {}, "not a JSON object")


def _with_options(text: Text, read: Callable[[str, Mapping[str, Any]], dict[str, Any]]) -> Text:
    if text.problem:
        return text
    try:
        return text._replace(options=read(text.text, text.fields))
    except OptionError as error:
        return text._replace(problem=str(error), fault=error.fault)


def _checked(place: str, text: Any, fields: dict[str, Any], path: str = "") -> Text:
    if not isinstance(text, str):
        return Text(place, "", fields, f"no text at {path}" if text is None else f"the value at {path} is not a string")
    return Text(place, text, fields, "" if text.strip() else "the text is empty or blank")


def _at(tree: Any, path: str) -> Any:
    """The value at a dotted path, by the rule of a pipeline's `text_field`; None if there is none."""
    from labelstream.workers.stream.codec.fields.lookup import Nothing, lookup  # pydantic

    found = lookup(tree, path)
    return None if type(found) is Nothing else found


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.removeprefix(BOM_UTF8))
    except (ValueError, RecursionError):
        return None
