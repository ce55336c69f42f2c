"""A JSON value -> TextMessage: our own format, or any that has the text at a path.

What is not read is not judged: numbers of any size, NaN, equal keys, any depth and bytes that are no text harm nothing.
"""

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from itertools import islice
from typing import Any, NamedTuple

import jiter
from pydantic import ValidationError

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage, Verbatim
from labelstream.workers.stream.codec.json_spans import check_value, members
from labelstream.workers.stream.codec.rejection import DecodeError

_FIELDS = frozenset(TextMessage.model_fields)
MAX_UNKNOWN = 32  # names of a message: they are kept until its acknowledgement
_METADATA, _COLON = b'"metadata"', re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_JSON = json.JSONDecoder()
# Python converts no integer of more digits. Group 1: a string, or a number that it converts.
_DIGITS = re.compile(rb'("(?:[^"\\]++|\\.)*+"|[0-9]{1,4300}+(?![0-9]))|[0-9]++', re.DOTALL)
_POSITION = re.compile(r" at line \d+ column \d+")
_UNIONS = {"id": "a string or an integer", "metadata": "an object"}  # of which pydantic names one kind alone
_MARKS = {BOM_UTF32_LE: "UTF-32", BOM_UTF16_LE: "UTF-16", BOM_UTF16_BE: "UTF-16"}  # the second one begins the first
_FRAME_BYTES = 5  # a schema registry's: 0x00 and four of an id


def read_message(value: bytes) -> TextMessage:
    """Of our own JSON. Raises DecodeError."""
    try:
        tree = _parse(value)
    except ValueError as error:
        tree = _fields_alone(value, str(error))
    else:
        if type(tree) is dict and type(tree.get("metadata")) is dict:
            tree["metadata"] = None  # let go of 25 times the bytes before they are read once more
            tree["metadata"] = Verbatim(_text_of_metadata(value))
    if type(tree) is dict and not _FIELDS.issuperset(tree):
        tree = _known(tree)
    try:
        return TextMessage.__pydantic_validator__.validate_python(tree)
    except ValidationError as error:
        raise _invalid(tree, error) from None


def read_field(value: bytes, path: str) -> TextMessage:
    """Of any JSON with the text at the dotted `path`. Raises DecodeError."""
    try:
        tree = jiter.from_json(value, allow_inf_nan=True, catch_duplicate_keys=True)
    except ValueError as error:
        tree = _path_alone(value, path, str(error))
    found = _lookup(tree, path)
    if type(found) is str:
        return text_alone(found)
    if type(found) is not _Nothing:
        found = _Nothing(path, found)
    if found.stands is None:
        raise DecodeError(Reason.EMPTY_TEXT, f"text_field {path}: {found.at or 'the value'} is null")
    if found.stands is _MISSING:
        raise DecodeError(Reason.INVALID_MESSAGE, f"text_field {path} is missing")
    needed = "a string" if found.at == path else "an object"
    raise DecodeError(
        Reason.INVALID_MESSAGE,
        f"text_field {path}: {found.at or 'the value'} must be {needed}, and is {_kind(found.stands)}",
    )


def text_alone(text: str) -> TextMessage:
    """By the validator: `model_construct` takes 4 us more."""
    return TextMessage.__pydantic_validator__.validate_python({"text": text})


def not_in_utf8(value: bytes, where: str = "") -> DecodeError | None:
    """Whatever says that the bytes are of another encoding; None where they are UTF-8."""
    if len(value) >= _FRAME_BYTES and value[0] == 0:
        if value.startswith(BOM_UTF32_BE):
            return DecodeError(Reason.INVALID_ENCODING, "UTF-32, not UTF-8")
        problem = "a schema registry's framing (0x00 and a schema id) stands before the value: "
        return DecodeError(Reason.UNSUPPORTED_ENCODING, f"{problem}configure the producer for plain JSON or text")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        if (other := next((name for mark, name in _MARKS.items() if value.startswith(mark)), None)) is not None:
            return DecodeError(Reason.INVALID_ENCODING, f"{other}, not UTF-8")
        return DecodeError(Reason.INVALID_ENCODING, f"{where}not UTF-8 at byte {error.start}")
    return None


_MISSING = object()


class _Nothing(NamedTuple):
    """There is no value at a path, because `stands` is at `at` on it: null, _MISSING, or what has no fields."""

    at: str
    stands: Any


def _lookup(tree: Any, path: str, above: str = "") -> Any:
    """The value at a dotted path, or _Nothing; a key that itself holds dots wins, as in flattened log events."""
    if type(tree) is not dict:
        return _Nothing(above, tree)
    if path in tree:
        return tree[path]
    nothing = _Nothing("", _MISSING)
    head, _, rest = path.partition(".")
    while rest:
        if head in tree:
            found = _lookup(tree[head], rest, f"{above}.{head}" if above else head)
            if type(found) is not _Nothing:
                return found
            nothing = found if nothing.stands is _MISSING else nothing
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return nothing


def _parse(text: bytes) -> Any:
    return jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True)


def _fields_alone(value: bytes, problem: str) -> dict[str, Any]:
    """As `_parse` for a text that it refuses with `problem`, where that lies in none of our fields."""
    tree: dict[str, Any] = {}
    for key, text in _members(value, problem):
        if key not in _FIELDS:
            tree[key] = None
        elif key in tree:
            raise DecodeError(Reason.INVALID_MESSAGE, f"duplicate key {key}")
        else:
            read = _read_metadata(text) if key == "metadata" else _read(text, key)
            tree[key] = Verbatim(text.decode()) if key == "metadata" and type(read) is dict else read
    return tree


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
    for key, text in _members(value, problem):
        if path != key and not path.startswith(f"{key}."):
            continue
        if key in tree:
            raise DecodeError(Reason.INVALID_MESSAGE, f"duplicate key {key} on the path of text_field")
        rest = path[len(key) + 1 :]
        tree[key] = _path_alone(text, rest, problem) if rest or text[:1] != b'"' else _read(text, key)
    return tree


def _other_kind(value: bytes, first: bytes, problem: str) -> Any:
    """Something of the kind that `value` is, which is no object and begins with `first`."""
    try:
        check_value(value)
    except ValueError as error:
        raise _explained(value, problem, error) from None
    if first == b"[":
        return []
    if first == b'"':
        return _read(value, "the value")
    return {b"n": None, b"t": True, b"f": False}.get(first, 0)


def _members(value: bytes, problem: str) -> list[tuple[str, bytes]]:
    """Raises DecodeError, because of `problem`, where `value` is no JSON object in its form."""
    try:
        return [(_name(key), text) for key, text in members(value)]
    except ValueError as error:
        raise _explained(value, problem, error) from None


def _name(key: bytes) -> str:
    """A key that is no text has no name."""
    try:
        return jiter.from_json(key)
    except ValueError:
        return ""


def _read(text: bytes, key: str) -> Any:
    """The value of the field `key`."""
    try:
        return _parse(text)
    except ValueError as error:
        problem = str(error)
    try:
        jiter.from_json(text, allow_inf_nan=True, catch_duplicate_keys=True)
    except ValueError:
        raise _explain(text, problem, f"{key}: ") from None
    raise DecodeError(Reason.INVALID_JSON, f"{key}: NaN and Infinity are no numbers of JSON")


def _read_metadata(text: bytes) -> Any:
    """Comes back as it came, whatever its numbers are: long ones are left out, and the rest is judged."""
    try:
        return _parse(text)
    except ValueError:
        shorter = _DIGITS.sub(lambda found: found[1] or b"1", text)
    try:
        return _read(shorter, "metadata")
    except DecodeError as error:
        if shorter == text:
            raise
        raise DecodeError(error.reason, _POSITION.sub("", error.message)) from None  # a place in the shorter one


def _explained(value: bytes, problem: str, error: ValueError) -> DecodeError:
    """`problem`: the parser's, which says more than `error` where it is about the form."""
    return _explain(value, str(error) if problem.startswith("Detected duplicate key") else problem)


def _explain(value: bytes, problem: str, where: str = "") -> DecodeError:
    """Only for a value that was refused already, so it may take its time."""
    if (other := not_in_utf8(value, where)) is not None:
        return other
    if problem.startswith("Detected duplicate key"):  # jiter quotes the key: the position is enough
        return DecodeError(Reason.INVALID_MESSAGE, f"{where}duplicate key{problem[problem.rfind(' at line') :]}")
    if ("surrogate" in problem or "hex escape" in problem) and _has_lone_surrogate(value):
        return DecodeError(Reason.INVALID_TEXT, f"{where}a lone surrogate escape is no text")
    return DecodeError(Reason.INVALID_JSON, f"{where}{problem}")


def _has_lone_surrogate(value: bytes) -> bool:
    try:
        json.dumps(json.loads(value), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _known(tree: dict[str, Any]) -> dict[str, Any]:
    """Without the values that nobody reads: of their names as many as are counted."""
    unknown = dict.fromkeys(islice((key for key in tree if key not in _FIELDS), MAX_UNKNOWN))
    return unknown | {key: value for key, value in tree.items() if key in _FIELDS}


def _text_of_metadata(value: bytes) -> str:
    """As it stands in `value`, which jiter has parsed, and which has it in its first level."""
    if value.count(_METADATA) == 1 and not (b"\\u006" in value or b"\\u007" in value):
        # Nothing but the key itself, which is not written with escapes.
        text = value[value.index(_METADATA) + len(_METADATA) :].decode()
        start = _COLON.match(text).end()  # pyright: ignore[reportOptionalMemberAccess]
        return text[start : _JSON.raw_decode(text, start)[1]]
    return next(text.decode() for key, text in members(value) if _name(key) == "metadata")


def _invalid(tree: Any, error: ValidationError) -> DecodeError:
    if type(tree) is not dict:
        return DecodeError(Reason.INVALID_MESSAGE, f"the value must be an object, and is {_kind(tree)}")
    if tree.get("text", "") is None:
        return DecodeError(Reason.EMPTY_TEXT, "text is null")
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = str(first["loc"][0])
    if name in _UNIONS:
        return DecodeError(Reason.INVALID_MESSAGE, f"{name}: must be {_UNIONS[name]}, and is {_kind(tree[name])}")
    given = f", not {_kind(tree[name])}" if name in tree and len(first["loc"]) == 1 else ""
    return DecodeError(Reason.INVALID_MESSAGE, f"{name}: {first['msg']}{given}")


def _kind(value: Any) -> str:
    if type(value) is str and value.lstrip()[:1] in ("{", "[", '"'):
        try:
            jiter.from_json(value.encode(), allow_inf_nan=True)
        except ValueError:
            return "a string"
        return "a string that holds JSON, which was encoded twice"
    kinds = {
        str: "a string",
        list: "a list",
        dict: "an object",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
    }
    return kinds.get(type(value), "null")
