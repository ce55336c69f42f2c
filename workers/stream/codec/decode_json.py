"""Decodes Labelstream's own JSON format to a TextMessage.

Unknown fields may hold anything in JSON's form: long numbers, NaN, duplicate keys, any depth, bytes that are not UTF-8.
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
_RESULT_FIELDS = frozenset({"schema_version", "event_id", "task", "model_revision", "source"})  # no message has all
_ANSWERS_FIELDS = _RESULT_FIELDS - {"model_revision"} | {"answers"}
_KEPT_OF_RESULTS = ("text", "text_pair", "id", "metadata")
MAX_UNKNOWN = 32  # names of unknown fields of a message, kept in memory until its acknowledgement
_METADATA, _COLON = b'"metadata"', re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_JSON = json.JSONDecoder()
# Python refuses integers of more than 4,300 digits. Group 1: a string, or a number that Python converts.
_DIGITS = re.compile(rb'("(?:[^"\\]++|\\.)*+"|[0-9]{1,4300}+(?![0-9]))|[0-9]++', re.DOTALL)
_POSITION = re.compile(r" at line \d+ column \d+")
_UNIONS = {"id": "a string or an integer", "metadata": "an object"}  # types of which pydantic names one alone


def read_message(
    value: bytes,
    key: object = None,
    headers: object = (),
    lenient_tree: object = None,
    check: Callable[[TextMessage, bytes, Any], None] | None = None,
) -> TextMessage:
    """Decode `value`; ignore the other arguments. `check`: further checks of the value. Raises DecodeError."""
    try:
        tree = parse(value)
    except ValueError as error:
        tree = _parse_known_fields(value, str(error))
    else:
        if type(tree) is dict and type(tree.get("metadata")) is dict:
            tree["metadata"] = None  # free the parsed tree, 25 times the bytes, before the next pass
            tree["metadata"] = Verbatim(_raw_metadata(value))
    if type(tree) is dict and not _FIELDS.issuperset(tree):
        tree = _drop_unknown(tree)
    try:
        message = TextMessage.__pydantic_validator__.validate_python(tree)
    except ValidationError as error:
        raise invalid(tree, error) from None
    if check is not None:
        check(message, value, None)
    return message


def _parse_known_fields(value: bytes, problem: str) -> dict[str, Any]:
    """Parse the known fields alone, after the parser refused the whole value with `problem`. Raises DecodeError."""
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
    """Parse metadata; numbers too long for Python become 1. The result repeats the raw text. Raises DecodeError."""
    try:
        return parse(text)
    except ValueError:
        shorter = _DIGITS.sub(lambda found: found[1] or b"1", text)
    try:
        return read_value(shorter, name)
    except DecodeError as error:
        if shorter == text:
            raise
        raise DecodeError(error.reason, _POSITION.sub("", error.message)) from None  # a position in `shorter`


def _drop_unknown(tree: dict[str, Any]) -> dict[str, Any]:
    """Drop unknown fields' values; keep at most MAX_UNKNOWN of their names for the metric.

    Of a result only the message's fields are kept: its `model` is the model that made the result.
    """
    if tree.keys() >= _RESULT_FIELDS:
        if "text" not in tree:
            problem = "text: a result without its text; set include_text to always in the pipeline that writes it"
            raise DecodeError(Reason.INVALID_MESSAGE, problem)
        return {key: tree[key] for key in _KEPT_OF_RESULTS if key in tree}
    if "text" not in tree and tree.keys() >= _ANSWERS_FIELDS:
        problem = "text: a result of several texts; set fields.text to answers[*].text, and include_text to always"
        raise DecodeError(Reason.INVALID_MESSAGE, f"{problem} in the pipeline that writes it")
    unknown = dict.fromkeys(islice((key for key in tree if key not in _FIELDS), MAX_UNKNOWN))
    return unknown | {key: value for key, value in tree.items() if key in _FIELDS}


def _raw_metadata(value: bytes) -> str:
    """The JSON text of the metadata in `value`, a valid JSON object with a member of this name."""
    if value.count(_METADATA) == 1 and not (b"\\u006" in value or b"\\u007" in value):
        # The one occurrence is the key, because the key has no escapes.
        text = value[value.index(_METADATA) + len(_METADATA) :].decode()
        start = _COLON.match(text).end()  # pyright: ignore[reportOptionalMemberAccess]
        return text[start : _JSON.raw_decode(text, start)[1]]
    return next(text.decode() for key, text in members(value) if name_of(key) == "metadata")


def invalid(tree: Any, error: ValidationError) -> DecodeError:
    """The error for the fields `tree` of a message that pydantic refused with `error`."""
    if type(tree) is not dict:
        return DecodeError(Reason.INVALID_MESSAGE, f"the value must be an object, not {kind_of(tree)}")
    text = tree.get("text", ...)
    if text is None or (type(text) is str and not text.strip()):  # then the other fields do not matter
        return DecodeError(Reason.EMPTY_TEXT, "text is null" if text is None else "text is empty or blank")
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = str(first["loc"][0])
    if name in _UNIONS:
        return DecodeError(Reason.INVALID_MESSAGE, f"{name}: must be {_UNIONS[name]}, not {kind_of(tree[name])}")
    if name == "text" and type(text) is list:
        problem = "text: must be a string, not a list; for a list of texts, set fields.text to text[*]"
        return DecodeError(Reason.INVALID_MESSAGE, problem)
    given = f", not {kind_of(tree[name])}" if name in tree and len(first["loc"]) == 1 else ""
    return DecodeError(Reason.INVALID_MESSAGE, f"{name}: {first['msg']}{given}")
