"""Place of a value in a record: a path in the value's JSON, a header, or the key."""

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

_HEADER, _KEY = "header:", "key"
_NAME, _INDEX = r"[^.\[\]]+", r"\[(?:\d{1,9}|\*)\]"
_PATH = re.compile(rf"(?:{_NAME}|{_INDEX})(?:\.{_NAME}|{_INDEX})*")
_PART = re.compile(rf"\[(\d+|\*)\]|\.?({_NAME}(?:\.{_NAME})*)")
_FORM = (
    "must be a path such as event.message, items[0].text or items[*].text, or key, or header:NAME; "
    "$.key is the field named key"
)


class JsonPath(NamedTuple):
    """Path in JSON. `parts`: dotted names, indices of list items, and None for all items of a list."""

    written: str
    parts: tuple[str | int | None, ...]

    @property
    def has_star(self) -> bool:
        return None in self.parts


class Header(NamedTuple):
    """A header. Of several headers with this name, the last counts."""

    name: str


class Key(NamedTuple):
    """The record's key."""


Place = JsonPath | Header | Key


def parse_place(written: str) -> Place:
    """Raises ValueError when `written` is no place."""
    if written == _KEY:
        return Key()
    if not written.startswith(_HEADER):
        return parse_path(written)
    if written == _HEADER:
        raise ValueError("names no header; write header:NAME")
    return Header(written.removeprefix(_HEADER))


def parse_path(written: str) -> JsonPath:
    """A leading $ stands for the whole value. Raises ValueError when `written` is no path."""
    path = written.removeprefix("$.") if written.startswith("$.") else written
    path = path.removeprefix("$") if path.startswith("$[") else path
    if not _PATH.fullmatch(path):
        raise ValueError(_FORM)
    found = _PART.finditer(path)
    return JsonPath(written, tuple(part[2] or (None if part[1] == "*" else int(part[1])) for part in found))


def _checked(written: str) -> str:
    parse_place(written)
    return written


def _checked_path(written: str) -> str:
    parse_path(written)
    return written


PlaceName = Annotated[str, Field(min_length=1), AfterValidator(_checked)]
PathName = Annotated[str, Field(min_length=1), AfterValidator(_checked_path)]
