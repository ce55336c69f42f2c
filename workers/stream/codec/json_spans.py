"""Start and end of the values in a JSON text. Checks the form of the values, and converts no value.

Serves texts that the parser refuses because of unread values: long numbers, NaN, duplicate keys, deep nesting, bytes or
escapes that are no characters. The functions are not recursive and take linear time.
"""

import re
from typing import Any

_SPACE = rb"[ \t\n\r]*+"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|NaN|-?Infinity"
_SCALAR = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null)"


def _pattern(*parts: bytes) -> re.Pattern[bytes]:
    return re.compile(b"".join(_SPACE + part for part in parts), re.DOTALL)


_OBJECT, _LIST, _END = _pattern(rb"\{"), _pattern(rb"\["), _pattern(rb"\Z")
_KEY, _NO_KEY, _VALUE, _NEXT, _EMPTY = (
    _pattern(b"(" + _STRING + b")", b":", b""),
    _pattern(b"()"),
    _pattern(rb"(?:([{\[])|" + _SCALAR + rb")"),
    _pattern(rb"([,}\]])"),
    _pattern(rb"[}\]]"),
)
# Runs of simple values, most of a text: one match for the run instead of one loop turn a value.
_SIMPLE_MEMBERS = re.compile(b"(?:" + _pattern(_STRING, b":", _SCALAR, b",").pattern + b")*+", re.DOTALL)
_SIMPLE_ITEMS = re.compile(b"(?:" + _pattern(_SCALAR, b",").pattern + b")*+", re.DOTALL)
_CLOSING = {b"{": b"}", b"[": b"]"}


def members(text: bytes) -> list[tuple[bytes, bytes]]:
    """Raw keys and values of the JSON object `text`. Raises ValueError if `text` is not an object."""
    return [(key, text[start:end]) for key, start, end in member_spans(text)]


def member_spans(text: bytes) -> list[tuple[bytes, int, int]]:
    """Raw key, start and end of each value of the JSON object `text`. Raises as `members`."""
    return _spans(text, _OBJECT, _KEY, b"}")


def items(text: bytes) -> list[bytes]:
    """Raw items of the JSON list `text`. Raises ValueError if `text` is not a list."""
    return [text[start:end] for _, start, end in _spans(text, _LIST, _NO_KEY, b"]")]


def _spans(text: bytes, opening: re.Pattern[bytes], key: re.Pattern[bytes], closing: bytes) -> list[Any]:
    at = _expect(opening, text, 0).end()
    found: list[tuple[bytes, int, int]] = []
    separator = closing if _EMPTY.match(text, at) else b","
    while separator == b",":
        before = _expect(key, text, at)
        start = before.end()
        end = _end_of_value(text, start)
        found.append((before[1], start, end))
        after = _expect(_NEXT, text, end)
        separator, at = after[1], after.end()
    if not found:
        at = _expect(_NEXT, text, at).end()
    if text[at - 1 : at] != closing:
        raise _misplaced(at)
    _expect(_END, text, at)
    return found


def check_value(text: bytes) -> None:
    """Raises ValueError when `text` is not one JSON value."""
    _expect(_END, text, _end_of_value(text, 0))


def _end_of_value(text: bytes, at: int) -> int:
    closings: list[bytes] = []  # closing brackets of the open values, innermost last
    while True:
        value = _expect(_VALUE, text, at)
        at = value.end()
        if value[1]:
            closings.append(_CLOSING[value[1]])
            if not _EMPTY.match(text, at):
                at = _next_value(text, at, closings[-1])
                continue
        while closings:
            after = _expect(_NEXT, text, at)
            at = after.end()
            if after[1] == b",":
                at = _next_value(text, at, closings[-1])
                break
            if after[1] != closings.pop():
                raise _misplaced(at)
        else:
            return at


def _next_value(text: bytes, at: int, closing: bytes) -> int:
    """Position of the next value, after the simple values at `at` and after a key."""
    if closing == b"]":
        return _past(_SIMPLE_ITEMS, text, at)
    return _expect(_KEY, text, _past(_SIMPLE_MEMBERS, text, at)).end()


def _past(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _expect(pattern: re.Pattern[bytes], text: bytes, at: int) -> re.Match[bytes]:
    found = pattern.match(text, at)
    if found is None:
        raise _misplaced(at)
    return found


def _misplaced(at: int) -> ValueError:
    return ValueError(f"invalid JSON at byte {at}")
