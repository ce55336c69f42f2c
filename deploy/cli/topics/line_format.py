"""Makes the keys and values that `labelstream produce` sends from lines and rows of a file. No Kafka here."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from labelstream.deploy.cli.common.text_file import LineError, Row
from labelstream.workers.stream.codec.json_spans import members

Members = list[tuple[bytes, bytes]]  # keys and values of a JSON object, as written in the line


class KeyedValue(NamedTuple):
    key: bytes | None
    value: bytes


class LineReader(NamedTuple):
    """Makes messages from lines or rows.

    `format`: the format of the messages, as in `pipelines.NAME.format`. None: JSON objects are sent unchanged, other
    lines are wrapped.
    `wrap`: every line becomes the text of a JSON object.
    `raw`: every line is sent unchanged; overrides the other fields.
    `text_field`, `key_field`: the dotted paths of text and key in the file.
    `text_path`: the dotted path of the text in the JSON object that is sent.
    `key_separator`: the string between key and value in each line.
    """

    format: Literal["json", "text"] | None = None
    wrap: bool = False
    raw: bool = False
    text_field: str | None = None
    text_path: str = "text"
    key_field: str | None = None
    key_separator: str | None = None

    def read(self, lines: Iterable[bytes], is_json: bool = False) -> Iterator[KeyedValue]:
        """Messages from lines, without blank lines and byte order marks (joined files have several) unless `raw`.

        `is_json`: the lines are JSON; else their first character tells. Raises LineError for an unusable line.
        """
        for number, line in enumerate(lines, 1):
            line = line.removesuffix(b"\n")
            if not self.raw:
                line = line.removesuffix(b"\r").removeprefix(BOM_UTF8)
                if not line.strip():
                    continue
            is_json = is_json or line.lstrip()[:1] in (b"{", b"[")
            yield self._read_line(number, line, is_json)

    def read_rows(self, rows: Iterable[Row]) -> Iterator[KeyedValue]:
        """Messages from rows: a JSON object of the cells, or the text alone. Raises LineError."""
        column = self.text_field or self.text_path
        for number, cells in rows:
            wanted = (self.key_field, column if self.format == "text" or self.text_field else None)
            for name in wanted:
                if name is not None and name not in cells:
                    raise LineError(f"line {number}: no column {name!r}; the file has {', '.join(cells)}")
            key = None if self.key_field is None else cells[self.key_field].encode()
            if self.format == "text":
                yield KeyedValue(key, cells[column].encode())
            else:
                yield KeyedValue(key, _dumped(self._as_object(cells, column)))

    def _as_object(self, cells: dict[str, str], column: str) -> dict[str, Any]:
        """The row with its text at `text_path`. The other cells keep their columns' names."""
        if column not in cells or column == self.text_path:  # the pipeline also finds a key that contains the dots
            return dict(cells)
        found: dict[str, Any] = {name: cell for name, cell in cells.items() if name != column}
        *above, last = self.text_path.split(".")
        place = found
        for name in above:
            place[name] = place = {}
        place[last] = cells[column]
        return found

    def _read_line(self, number: int, line: bytes, is_json: bool) -> KeyedValue:
        key = None
        if self.key_separator is not None:
            head, separator, line = line.partition(self.key_separator.encode())
            if not separator:
                raise LineError(f"line {number}: no key separator {self.key_separator!r}")
            key, line = head, line if self.raw else line.removeprefix(BOM_UTF8)
        tree = None if self.raw and self.key_field is None else as_object(line)
        if tree is None and self.format == "json" and not (self.raw or self.wrap):
            raise LineError(f"line {number}: {_no_object(line, is_json)}")
        if self.key_field is not None:
            key = _scalar_at(number, tree, self.key_field, "key")
        return KeyedValue(key, line if self.raw else self._value(number, line, tree))

    def _value(self, number: int, line: bytes, tree: Members | None) -> bytes:
        if self.format == "text":
            return line if self.text_field is None else _scalar_at(number, tree, self.text_field, "text")
        if self.wrap or (tree is None and self.format is None):
            return self._wrapped(number, line)
        return line

    def _wrapped(self, number: int, line: bytes) -> bytes:
        try:
            return _dumped(self._as_object({"": line.decode("utf-8")}, ""))
        except UnicodeDecodeError:
            problem = f"line {number}: not UTF-8, so the line is no text; --raw sends it unchanged"
            raise LineError(problem) from None


def as_object(line: bytes) -> Members | None:
    """The members of a JSON object, unparsed, as the stream reads them; None if the line is no JSON object."""
    try:
        return members(line)
    except ValueError:
        return None


def names_in(line: bytes) -> list[str]:
    """The names of a JSON object's fields, without repetition."""
    return list(dict.fromkeys(_content(name).decode("utf-8", "backslashreplace") for name, _ in as_object(line) or ()))


def _no_object(line: bytes, is_json: bool) -> str:
    """The error for a line that is no JSON object, with the fix."""
    if not is_json:
        fix = "add --wrap to send each line as the text of an object, or --raw to send lines unchanged"
        return f"not a JSON object; {fix}"
    if (start := line.strip()) in (b"{", b"["):
        items = "." if start == b"{" else "'.[]'"
        return f"the JSON object spans several lines; put each object on one line with `jq -c {items} FILE`"
    from labelstream.workers.stream.codec.json_values import kind_of  # pydantic

    try:
        problem = kind_of(json.loads(line.decode("utf-8", "replace"), parse_int=float, strict=False))
    except json.JSONDecodeError as error:
        problem = f"column {error.colno}: {error.msg}"
    except RecursionError:
        problem = "nested too deeply"
    return f"not a JSON object ({problem}); each line must hold one, unless --raw sends the lines unchecked"


def _dumped(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode()


def _scalar_at(number: int, tree: Members | None, path: str, use: str) -> bytes:
    """The characters of a string; a number or boolean as written."""
    found = _at(tree or [], path.encode("utf-8", "surrogateescape"))
    if found == b"null" or found[:1] in (b"{", b"["):
        raise LineError(f"line {number}: no JSON string, number or boolean at {path!r} for the {use}")
    return _content(found) if found[:1] == b'"' else found


def _at(tree: Members, path: bytes) -> bytes:
    """The value at a dotted path as written; `null` if there is none.

    A key that contains the dots wins, as in a pipeline's `text_field`. The last of equal keys counts.
    """
    found = [(_content(name), value) for name, value in reversed(tree)]
    for name, value in found:
        if name == path:
            return value
    for name, value in found:
        if path.startswith(name + b".") and (below := _at(as_object(value) or [], path[len(name) + 1 :])) != b"null":
            return below
    return b"null"


def _content(string: bytes) -> bytes:
    """The characters of a JSON string; its raw bytes if they are not valid."""
    try:
        return json.loads(string, strict=False).encode("utf-8", "surrogatepass")
    except ValueError:
        return string[1:-1]
