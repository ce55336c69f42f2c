"""What `labelstream classify` reads: texts of the call, of stdin's lines, or of a file's lines, objects or rows."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from labelstream.deploy.cli.common.text_file import LineError, TextFile, read_rows

DEFAULT_FIELD = "text"


class Text(NamedTuple):
    """`place`: how its user finds it. `fields`: what stands beside it in its row or object.

    `problem`: why there is no text; else empty.
    """

    place: str
    text: str
    fields: dict[str, Any]
    problem: str = ""


def of_argument(number: int, text: str) -> Text:
    return Text(f"text {number}", text, {"text": text})


def of_lines(lines: Iterable[bytes]) -> Iterator[Text]:
    """Blank lines are left out, and byte order marks: files that are joined have a mark each."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(BOM_UTF8).decode("utf-8", "replace").rstrip("\r\n")
        if text.strip():
            yield Text(f"line {number}", text, {"text": text})


def of_file(file: TextFile, field: str | None) -> Iterator[Text]:
    """Rows by the file's suffix; objects where `field` is given or the first line is one; else lines.

    `field`: the column, or the dotted path, of the text. Raises LineError for a row that is none.
    """
    if file.separator is not None:
        return _of_rows(file, field or DEFAULT_FIELD)
    lines = iter(file.lines())
    first = next(lines, b"")
    lines = chain([first], lines)
    if field is None and not isinstance(_parsed(first), dict):
        return of_lines(lines)
    return _of_objects(lines, field or DEFAULT_FIELD)


def _of_rows(file: TextFile, column: str) -> Iterator[Text]:
    for number, cells in read_rows(file.lines(), file.separator or ","):
        if column not in cells:
            columns = ", ".join(cells)
            raise LineError(f"{file.name}: there is no column {column!r}; name one of {columns} with --text-field")
        yield _checked(f"line {number}", cells[column], dict(cells))


def _of_objects(lines: Iterable[bytes], path: str) -> Iterator[Text]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        tree, place = _parsed(line), f"line {number}"
        if isinstance(tree, dict):
            yield _checked(place, _at(tree, path), tree, path)
        else:
            yield Text(place, "", {}, "is no JSON object")


def _checked(place: str, text: Any, fields: dict[str, Any], path: str = "") -> Text:
    if not isinstance(text, str):
        return Text(
            place, "", fields, f"has no text at {path}" if text is None else f"what stands at {path} is no text"
        )
    return Text(place, text, fields, "" if text.strip() else "the text is empty or blank")


def _at(tree: Any, path: str) -> Any:
    """The value at a dotted path, by the rule of a pipeline's `text_field`; None where there is none."""
    from labelstream.workers.stream.codec.fields.lookup import Nothing, lookup  # pydantic

    found = lookup(tree, path)
    return None if type(found) is Nothing else found


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.removeprefix(BOM_UTF8))
    except (ValueError, RecursionError):
        return None
