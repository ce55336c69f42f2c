"""Lines of a file or of stdin -> the keys and values that `labelstream produce` sends. No Kafka here."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from labelstream.workers.errors import LabelstreamError


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
        """Blank lines and the first one's byte order mark are left out, except raw ones.

        Raises LineError at the first line that cannot be sent.
        """
        for number, line in enumerate(lines, 1):
            line = line.removesuffix(b"\n")
            if not self.raw:
                line = line.removesuffix(b"\r")
                if number == 1:
                    line = line.removeprefix(BOM_UTF8)
                if not line.strip():
                    continue
            yield self._read_one(number, line)

    def _read_one(self, number: int, line: bytes) -> KeyedValue:
        key = None
        if self.key_separator is not None:
            head, separator, line = line.partition(self.key_separator.encode())
            if not separator:
                raise LineError(f"line {number}: no key separator {self.key_separator!r} in it")
            key = head
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


def _key_in(number: int, tree: dict[str, Any] | None, field: str) -> bytes:
    found = (tree or {}).get(field)
    if found is None or isinstance(found, dict | list):
        raise LineError(f"line {number}: has no JSON field {field!r} that could be its key")
    return (found if isinstance(found, str) else json.dumps(found)).encode("utf-8", "surrogatepass")


def _as_object(line: bytes) -> dict[str, Any] | None:
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        tree = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def _wrapped(number: int, line: bytes) -> bytes:
    try:
        return json.dumps({"text": line.decode("utf-8")}, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        problem = f"line {number}: is not UTF-8, so it cannot be wrapped as text; --raw sends it as it is"
        raise LineError(problem) from None
