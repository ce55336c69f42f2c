"""A JSON value -> TextMessage, with the text at a dotted path.

What is not read is not judged: numbers of any size, NaN, equal keys, any depth and bytes that are no text harm nothing.
"""

from typing import Any, NamedTuple

import jiter

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage
from labelstream.workers.stream.codec.json_spans import check_value
from labelstream.workers.stream.codec.json_values import explained, kind_of, members_of, read_value
from labelstream.workers.stream.codec.rejection import DecodeError

_MISSING = object()


class Nothing(NamedTuple):
    """There is no value at a path, because `stands` is at `at` on it: null, _MISSING, or what has no fields."""

    at: str
    stands: Any


def read_field(value: bytes, path: str) -> TextMessage:
    """Of any JSON with the text at the dotted `path`. Raises DecodeError."""
    try:
        tree = jiter.from_json(value, allow_inf_nan=True, catch_duplicate_keys=True)
    except ValueError as error:
        tree = _path_alone(value, path, str(error))
    found = lookup(tree, path)
    if type(found) is str:
        return text_alone(found)
    if type(found) is not Nothing:
        found = Nothing(path, found)
    if found.stands is None:
        raise DecodeError(Reason.EMPTY_TEXT, f"text_field {path}: {found.at or 'the value'} is null")
    if found.stands is _MISSING:
        raise DecodeError(Reason.INVALID_MESSAGE, f"text_field {path} is missing")
    needed = "a string" if found.at == path else "an object"
    raise DecodeError(
        Reason.INVALID_MESSAGE,
        f"text_field {path}: {found.at or 'the value'} must be {needed}, and is {kind_of(found.stands)}",
    )


def text_alone(text: str) -> TextMessage:
    """By the validator: `model_construct` takes 4 us more."""
    return TextMessage.__pydantic_validator__.validate_python({"text": text})


def lookup(tree: Any, path: str, above: str = "") -> Any:
    """The value at a dotted path, or Nothing; a key that itself holds dots wins, as in flattened log events."""
    if type(tree) is not dict:
        return Nothing(above, tree)
    if path in tree:
        return tree[path]
    nothing = Nothing("", _MISSING)
    head, _, rest = path.partition(".")
    while rest:
        if head in tree:
            found = lookup(tree[head], rest, f"{above}.{head}" if above else head)
            if type(found) is not Nothing:
                return found
            nothing = found if nothing.stands is _MISSING else nothing
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return nothing


def _path_alone(value: bytes, path: str, problem: str) -> Any:
    """As jiter's tree for a text that it refuses with `problem`, where that does not lie on `path`.

    What does not lie on it is left out.
    """
    first = value.lstrip()[:1]
    if first != b"{":
        return _other_kind(value, first, problem)
    if not path:
        return {}
    tree: dict[str, Any] = {}
    for key, text in members_of(value, problem):
        if path != key and not path.startswith(f"{key}."):
            continue
        if key in tree:
            raise DecodeError(Reason.INVALID_MESSAGE, f"duplicate key {key} on the path of text_field")
        rest = path[len(key) + 1 :]
        tree[key] = _path_alone(text, rest, problem) if rest or text[:1] != b'"' else read_value(text, key)
    return tree


def _other_kind(value: bytes, first: bytes, problem: str) -> Any:
    """Something of the kind that `value` is, which is no object and begins with `first`."""
    try:
        check_value(value)
    except ValueError as error:
        raise explained(value, problem, error) from None
    if first == b"[":
        return []
    if first == b'"':
        return read_value(value, "the value")
    return {b"n": None, b"t": True, b"f": False}.get(first, 0)
