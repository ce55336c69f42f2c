"""Decodes a JSON value to a TextMessage with the text at the path `text_field` alone."""

from collections.abc import Callable
from typing import Any

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage
from labelstream.workers.records.places import JsonPath
from labelstream.workers.stream.codec.fields.lookup import MISSING, Nothing, find
from labelstream.workers.stream.codec.fields.sparse_value import SparseValue
from labelstream.workers.stream.codec.json_values import kind_of, parse_leniently
from labelstream.workers.stream.codec.rejection import DecodeError

Check = Callable[[TextMessage, bytes, Any], None]
SETTING = "text_field"


def read_text_field(
    value: bytes,
    key: object = None,
    headers: object = (),
    tree: Any = None,
    *,
    path: JsonPath,
    check: Check | None = None,
) -> TextMessage:
    """Decode the text at `path`; ignore key and headers. `check`: further checks. `tree`: the parsed value, if known.

    Raises DecodeError.
    """
    try:
        tree = parse_leniently(value) if tree is None else tree
        found = find(tree, path)
    except ValueError as error:
        found = SparseValue(value, str(error), SETTING).texts(path)[0]
    message = text_alone(found if type(found) is str else no_text(found, path))
    if check is not None:
        check(message, value, tree)
    return message


def text_alone(text: str) -> TextMessage:
    """A message of a text alone. Uses the validator because `model_construct` takes 4 us more."""
    return TextMessage.__pydantic_validator__.validate_python({"text": text})


def no_text(found: Any, path: JsonPath) -> str:
    """Raises DecodeError with the type of the value in the place of the text."""
    nothing = found if type(found) is Nothing else Nothing(path.written, found)
    if nothing.actual is None:
        raise DecodeError(Reason.EMPTY_TEXT, f"{SETTING} {path.written}: {nothing.at or 'the value'} is null")
    if nothing.actual is MISSING:
        raise DecodeError(Reason.INVALID_MESSAGE, f"{SETTING} {path.written} is missing")
    raise DecodeError(Reason.INVALID_MESSAGE, f"{SETTING} {wrong_kind(found, path, 'a string')}")


def wrong_kind(found: Any, path: JsonPath, wanted: str) -> str:
    """Error text: the value at `path` is not `wanted`, or a part of the path has no fields or items."""
    if type(found) is not Nothing:
        fix = f"; for a list of texts, set fields.text to {path.written}[*]" if wanted and type(found) is list else ""
        return f"{path.written}: {path.written} must be {wanted}, not {kind_of(found)}{fix}"
    return f"{path.written}: {found.at or 'the value'} must be {found.needed}, not {kind_of(found.actual)}"
