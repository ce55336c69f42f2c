"""Our own JSON -> TextMessage.

What is not read is not judged: numbers of any size, NaN, equal keys, any depth and bytes that are no text harm nothing.
"""

import json
import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from pydantic import ValidationError

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage, Verbatim
from labelstream.workers.stream.codec.json_spans import members
from labelstream.workers.stream.codec.json_values import kind_of, members_of, name_of, parse, read_value
from labelstream.workers.stream.codec.rejection import DecodeError

_FIELDS = frozenset(TextMessage.model_fields)
_OF_RESULTS = frozenset({"schema_version", "event_id", "task", "model_revision", "source"})  # no message has all
_READ_OF_RESULTS = ("text", "text_pair", "id", "metadata")
MAX_UNKNOWN = 32  # names of a message: they are kept until its acknowledgement
_METADATA, _COLON = b'"metadata"', re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_JSON = json.JSONDecoder()
# Python converts no integer of more digits. Group 1: a string, or a number that it converts.
_DIGITS = re.compile(rb'("(?:[^"\\]++|\\.)*+"|[0-9]{1,4300}+(?![0-9]))|[0-9]++', re.DOTALL)
_POSITION = re.compile(r" at line \d+ column \d+")
_UNIONS = {"id": "a string or an integer", "metadata": "an object"}  # of which pydantic names one kind alone


def read_message(
    value: bytes,
    key: object = None,
    headers: object = (),
    check: Callable[[TextMessage, bytes, Any], None] | None = None,
) -> TextMessage:
    """Of our own JSON; key and headers are not read. `check`: what else the value must be. Raises DecodeError."""
    try:
        tree = parse(value)
    except ValueError as error:
        tree = _fields_alone(value, str(error))
    else:
        if type(tree) is dict and type(tree.get("metadata")) is dict:
            tree["metadata"] = None  # let go of 25 times the bytes before they are read once more
            tree["metadata"] = Verbatim(_text_of_metadata(value))
    if type(tree) is dict and not _FIELDS.issuperset(tree):
        tree = _known(tree)
    try:
        message = TextMessage.__pydantic_validator__.validate_python(tree)
    except ValidationError as error:
        raise invalid(tree, error) from None
    if check is not None:
        check(message, value, None)
    return message


def _fields_alone(value: bytes, problem: str) -> dict[str, Any]:
    """As `_parse` for a text that it refuses with `problem`, where that lies in none of our fields."""
    tree: dict[str, Any] = {}
    for key, text in members_of(value, problem):
        if key not in _FIELDS:
            tree[key] = None
        elif key in tree:
            raise DecodeError(Reason.INVALID_MESSAGE, f"duplicate key {key}")
        else:
            read = read_metadata(text) if key == "metadata" else read_value(text, key)
            tree[key] = Verbatim(text.decode()) if key == "metadata" and type(read) is dict else read
    return tree


def read_metadata(text: bytes, name: str = "metadata") -> Any:
    """Comes back as it came, whatever its numbers are: long ones are left out, and the rest is judged."""
    try:
        return parse(text)
    except ValueError:
        shorter = _DIGITS.sub(lambda found: found[1] or b"1", text)
    try:
        return read_value(shorter, name)
    except DecodeError as error:
        if shorter == text:
            raise
        raise DecodeError(error.reason, _POSITION.sub("", error.message)) from None  # a place in the shorter one


def _known(tree: dict[str, Any]) -> dict[str, Any]:
    """Without the values that nobody reads: of their names as many as are counted.

    The `model` of a result names the one that made the result, and its other fields are no unknown ones.
    """
    if tree.keys() >= _OF_RESULTS:
        if "text" not in tree:
            problem = "text: a result without its text; set include_text to always in the pipeline that writes it"
            raise DecodeError(Reason.INVALID_MESSAGE, problem)
        return {key: tree[key] for key in _READ_OF_RESULTS if key in tree}
    unknown = dict.fromkeys(islice((key for key in tree if key not in _FIELDS), MAX_UNKNOWN))
    return unknown | {key: value for key, value in tree.items() if key in _FIELDS}


def _text_of_metadata(value: bytes) -> str:
    """As it stands in `value`, which jiter has parsed, and which has it in its first level."""
    if value.count(_METADATA) == 1 and not (b"\\u006" in value or b"\\u007" in value):
        # Nothing but the key itself, which is not written with escapes.
        text = value[value.index(_METADATA) + len(_METADATA) :].decode()
        start = _COLON.match(text).end()  # pyright: ignore[reportOptionalMemberAccess]
        return text[start : _JSON.raw_decode(text, start)[1]]
    return next(text.decode() for key, text in members(value) if name_of(key) == "metadata")


def invalid(tree: Any, error: ValidationError) -> DecodeError:
    """What is wrong with the fields `tree` of a message."""
    if type(tree) is not dict:
        return DecodeError(Reason.INVALID_MESSAGE, f"the value must be an object, and is {kind_of(tree)}")
    if tree.get("text", "") is None:
        return DecodeError(Reason.EMPTY_TEXT, "text is null")
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = str(first["loc"][0])
    if name in _UNIONS:
        return DecodeError(Reason.INVALID_MESSAGE, f"{name}: must be {_UNIONS[name]}, and is {kind_of(tree[name])}")
    given = f", not {kind_of(tree[name])}" if name in tree and len(first["loc"]) == 1 else ""
    return DecodeError(Reason.INVALID_MESSAGE, f"{name}: {first['msg']}{given}")
