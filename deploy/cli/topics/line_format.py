"""Lines and rows of a file -> the keys and values that `labelstream produce` sends. No Kafka here."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from labelstream.deploy.cli.common.text_file import LineError, Row
from labelstream.workers.stream.codec.json_spans import members

Members = list[tuple[bytes, bytes]]  # keys and values of a JSON object, as they are written


class KeyedValue(NamedTuple):
    key: bytes | None
    value: bytes


class LineReader(NamedTuple):
    """How to make messages of lines or rows.

    `format`: of the messages, as `pipelines.NAME.format`; None: JSON objects go as they are, other lines are wrapped.
    `wrap`: every line becomes the text of a JSON object. `raw`: every line is a value as it is, whatever
    the others say. `text_field`: where the text is in the file, dotted. `text_path`: where it goes in a JSON object.
    `key_field`: what gives the key, dotted; `key_separator`: what stands between key and value in each line.
    """

    format: Literal["json", "text"] | None = None
    wrap: bool = False
    raw: bool = False
    text_field: str | None = None
    text_path: str = "text"
    key_field: str | None = None
    key_separator: str | None = None

    def read(self, lines: Iterable[bytes], is_json: bool = False) -> Iterator[KeyedValue]:
        """Blank lines and byte order marks are left out, except raw ones: files that are joined have a mark each.

        `is_json`: the lines are known to be JSON; else they tell. Raises LineError at the first that cannot be sent.
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
        """A JSON object of each row's cells, or its text alone. Raises LineError."""
        column = self.text_field or self.text_path
        for number, cells in rows:
            wanted = (self.key_field, column if self.format == "text" or self.text_field else None)
            for name in wanted:
                if name is not None and name not in cells:
                    raise LineError(f"line {number}: there is no column {name!r}; there are {', '.join(cells)}")
            key = None if self.key_field is None else cells[self.key_field].encode()
            if self.format == "text":
                yield KeyedValue(key, cells[column].encode())
            else:
                yield KeyedValue(key, _dumped(self._as_object(cells, column)))

    def _as_object(self, cells: dict[str, str], column: str) -> dict[str, Any]:
        """The text stands where the pipeline reads it; the other cells keep their columns' names."""
        if column not in cells or column == self.text_path:  # a key that itself holds dots is found as well
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
                raise LineError(f"line {number}: no key separator {self.key_separator!r} in it")
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
            problem = f"line {number}: is not UTF-8, so it cannot be wrapped as text; --raw sends it as it is"
            raise LineError(problem) from None


def as_object(line: bytes) -> Members | None:
    """None: the line is no JSON object. The stream judges what stands in one, and reads a part of it alone."""
    try:
        return members(line)
    except ValueError:
        return None


def names_in(line: bytes) -> list[str]:
    """The names of a JSON object's fields, each once."""
    return list(dict.fromkeys(_content(name).decode("utf-8", "backslashreplace") for name, _ in as_object(line) or ()))


def _no_object(line: bytes, is_json: bool) -> str:
    """What is wrong with a line that is no JSON object, and the fix."""
    if not is_json:
        fix = "add --wrap to send each line as the text of one, or --raw to send lines as they are"
        return f"is no JSON object; {fix}"
    if (start := line.strip()) in (b"{", b"["):
        items = "." if start == b"{" else "'.[]'"
        return f"the JSON goes on below, and each line must hold one JSON object; jq -c {items} FILE writes them so"
    from labelstream.workers.stream.codec.json_values import kind_of  # pydantic

    try:
        problem = kind_of(json.loads(line.decode("utf-8", "replace"), parse_int=float, strict=False))
    except json.JSONDecodeError as error:
        problem = f"column {error.colno}: {error.msg}"
    except RecursionError:
        problem = "nested too deeply"
    return f"is no JSON object ({problem}); each line must hold one"


def _dumped(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode()


def _scalar_at(number: int, tree: Members | None, path: str, use: str) -> bytes:
    """A string's characters; a number or boolean as it is written."""
    found = _at(tree or [], path.encode("utf-8", "surrogateescape"))
    if found == b"null" or found[:1] in (b"{", b"["):
        raise LineError(f"line {number}: has no JSON field {path!r} that could be its {use}")
    return _content(found) if found[:1] == b'"' else found


def _at(tree: Members, path: bytes) -> bytes:
    """The value at a dotted path as it is written, `null` where there is none.

    A key that itself holds dots wins, as in a pipeline's `text_field`. Of equal keys the last one counts.
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
    """Of a string of JSON; as it is written where its bytes are no characters."""
    try:
        return json.loads(string, strict=False).encode("utf-8", "surrogatepass")
    except ValueError:
        return string[1:-1]
