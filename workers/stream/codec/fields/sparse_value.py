"""Reads single paths of a JSON text that the parser refuses. Values off these paths may be invalid."""

from collections.abc import Callable
from math import nan
from typing import Any, NamedTuple

import jiter

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.records.places import JsonPath
from labelstream.workers.stream.codec.fields.lookup import find_all
from labelstream.workers.stream.codec.json_spans import check_value, items
from labelstream.workers.stream.codec.json_values import form_error, members_of, name_of, read_value
from labelstream.workers.stream.codec.rejection import DecodeError

Parts = tuple[str | int | None, ...]


class Raw(NamedTuple):
    """A value as its JSON text."""

    text: bytes


class SparseValue:
    """A record's value. `problem`: the parser's error. `setting`: the setting with the paths, for errors.

    Each object and list on the paths is split once. Each method raises DecodeError.
    """

    def __init__(self, value: bytes, problem: str, setting: str) -> None:
        self._value, self._problem, self._setting = value, problem, setting
        self._members: dict[bytes, list[tuple[str, bytes]]] = {}
        self._items: dict[bytes, list[bytes]] = {}
        if _first_byte(value) == b"{":
            self._members_of(value)
        else:
            self._checked(check_value, value)

    def texts(self, path: JsonPath) -> list[Any]:
        """As `find_all` of a parsed tree. Other values than strings are replaced by a value of their type."""
        return self._read_at(path, lambda text: self.text(text, path.written))

    def text(self, value: bytes, name: str) -> Any:
        """The string `value`, or a placeholder of the type of another JSON value. `name`: of its place, for errors."""
        return read_value(value, name) if _first_byte(value) == b'"' else self._kind(value)

    def tree(self, path: JsonPath) -> Any:
        """A parsed tree of the values on `path` alone. Those at its end are Raw."""
        return self._tree(self._value, path.parts)

    def scalars(self, path: JsonPath) -> list[Any]:
        """As `find_all` of a parsed tree, with objects and lists empty.

        A number that the parser refuses becomes NaN, which equals no value.
        """
        return self._read_at(path, lambda text: self._scalar(text, path.written))

    def values(self, path: JsonPath) -> list[Any]:
        """As `find_all` of a parsed tree."""
        return self._read_at(path, lambda text: read_value(text, path.written))

    def raw(self, path: JsonPath) -> list[Any]:
        """As `find_all` of a parsed tree, with each value as Raw."""
        return self._read_at(path, Raw)

    def _read_at(self, path: JsonPath, read: Callable[[bytes], Any]) -> list[Any]:
        found = find_all(self.tree(path), path)
        return [read(value.text.strip()) if type(value) is Raw else value for value in found]

    def _tree(self, text: bytes, parts: Parts) -> Any:
        """See `tree`."""
        if not parts:
            return Raw(text)
        first, (part, *rest) = _first_byte(text), parts
        if first == b"{":
            return self._object(text, part, tuple(rest)) if type(part) is str else {}
        if first == b"[":
            return [] if type(part) is str else self._list(text, part, tuple(rest))  # pyright: ignore
        return self._kind(text)

    def _object(self, text: bytes, part: str, rest: Parts) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key, value in self._members_of(text):
            if key != part and not part.startswith(f"{key}."):
                continue
            if key in tree:
                raise DecodeError(Reason.INVALID_MESSAGE, f"duplicate key {key} on the path of {self._setting}")
            tree[key] = self._tree(value, rest if key == part else (part[len(key) + 1 :], *rest))
        return tree

    def _list(self, text: bytes, part: int | None, rest: Parts) -> list[Any]:
        if text not in self._items:
            self._items[text] = self._checked(items, text)
        return [
            self._tree(item, rest) if part is None or part == index else None
            for index, item in enumerate(self._items[text])
        ]

    def _members_of(self, text: bytes) -> list[tuple[str, bytes]]:
        if text not in self._members:
            self._members[text] = members_of(text, self._problem)
        return self._members[text]

    def _scalar(self, text: bytes, name: str) -> Any:
        kind = self._kind(text)
        if type(kind) is str:
            return read_value(text, name)
        try:
            return jiter.from_json(text) if type(kind) in (int, float) else kind
        except ValueError:
            return nan

    def _kind(self, text: bytes) -> Any:
        """A placeholder of the same JSON type as the value."""
        first = _first_byte(text)
        if first == b'"':
            return name_of(text)  # empty if invalid
        return {b"{": {}, b"[": [], b"n": None, b"t": True, b"f": False, b"N": 0.0}.get(first, 0)

    def _checked(self, read: Callable[[bytes], Any], text: bytes) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise form_error(self._value, self._problem, error) from None


def _first_byte(text: bytes) -> bytes:
    return text.lstrip()[:1]
