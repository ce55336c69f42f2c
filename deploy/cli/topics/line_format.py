"""Lines of a file or of stdin -> the keys and values that `labelstream produce` sends. No Kafka here."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from labelstream.workers.errors import LabelstreamError
from labelstream.workers.stream.codec.json_spans import members

Members = list[tuple[bytes, bytes]]  # keys and values of a JSON object, as they are written


class LineError(LabelstreamError):
    """A line cannot be sent as asked. Names the line by its number, never its text."""


class LineFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class KeyedValue(NamedTuple):
    key: bytes | None
    value: bytes


class LineReader(NamedTuple):
    """How to read lines. `raw`: values exactly as they are, `format` is not looked at then.

    `key_separator`: what stands between key and value in each line. `key_field`: the JSON field that gives the key.
    """

    format: LineFormat = LineFormat.AUTO
    raw: bool = False
    key_field: str | None = None
    key_separator: str | None = None

    def read(self, lines: Iterable[bytes]) -> Iterator[KeyedValue]:
        """Blank lines and byte order marks are left out, except raw ones: files that are joined have a mark each.

        Raises LineError at the first line that cannot be sent.
        """
        for number, line in enumerate(lines, 1):
            line = line.removesuffix(b"\n")
            if not self.raw:
                line = line.removesuffix(b"\r").removeprefix(BOM_UTF8)
                if not line.strip():
                    continue
            yield self._read_one(number, line)

    def _read_one(self, number: int, line: bytes) -> KeyedValue:
        key = None
        if self.key_separator is not None:
            head, separator, line = line.partition(self.key_separator.encode())
            if not separator:
                raise LineError(f"line {number}: no key separator {self.key_separator!r} in it")
            key, line = head, line if self.raw else line.removeprefix(BOM_UTF8)
        tree = None if self.raw and self.key_field is None else _as_object(line)
        if self.raw:
            value = line
        elif self.format is LineFormat.TEXT or (self.format is LineFormat.AUTO and tree is None):
            value = _wrapped(number, line)
        elif tree is None:
            raise LineError(f"line {number}: is no JSON object; --format text wraps plain lines, --raw sends anything")
        else:
            value = line
        return KeyedValue(key if self.key_field is None else _key_in(number, tree, self.key_field), value)


def _key_in(number: int, tree: Members | None, field: str) -> bytes:
    """Of equal fields the last one, as in most parsers. Numbers stay as they are written."""
    found, wanted = b"null", field.encode("utf-8", "surrogateescape")
    for name, value in tree or ():
        if _content(name) == wanted:
            found = value
    if found == b"null" or found[:1] in (b"{", b"["):
        raise LineError(f"line {number}: has no JSON field {field!r} that could be its key")
    return _content(found) if found[:1] == b'"' else found


def _content(string: bytes) -> bytes:
    """Of a string of JSON; as it is written where its bytes are no characters."""
    try:
        return json.loads(string, strict=False).encode("utf-8", "surrogatepass")
    except ValueError:
        return string[1:-1]


def _as_object(line: bytes) -> Members | None:
    """None: the line is no JSON object. The stream judges what stands in one, and reads a part of it alone."""
    try:
        return members(line)
    except ValueError:
        return None


def _wrapped(number: int, line: bytes) -> bytes:
    try:
        return json.dumps({"text": line.decode("utf-8")}, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        problem = f"line {number}: is not UTF-8, so it cannot be wrapped as text; --raw sends it as it is"
        raise LineError(problem) from None
