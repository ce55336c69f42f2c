"""Reads single values of a JSON text, and explains why a value is invalid."""

import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from typing import Any, Literal

import jiter

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.codec.json_spans import members
from labelstream.workers.stream.codec.rejection import DecodeError

_MARKS = {BOM_UTF32_LE: "UTF-32", BOM_UTF16_LE: "UTF-16", BOM_UTF16_BE: "UTF-16"}  # UTF-32's begins with UTF-16's
_FRAME_BYTES = 5  # framing of a schema registry: 0x00 and a four-byte schema id


def parse(text: bytes) -> Any:
    """Parse strict JSON. Raises the parser's ValueError."""
    return jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True)


def parse_leniently(text: bytes, floats: Literal["float", "lossless-float"] = "float") -> Any:
    """Parse JSON with NaN and Infinity. Raises the parser's ValueError."""
    return jiter.from_json(text, allow_inf_nan=True, catch_duplicate_keys=True, float_mode=floats)


def members_of(value: bytes, problem: str) -> list[tuple[str, bytes]]:
    """Names and raw values of the JSON object `value`. Raises DecodeError. `problem`: the parser's error."""
    try:
        return [(name_of(key), text) for key, text in members(value)]
    except ValueError as error:
        raise form_error(value, problem, error) from None


def name_of(key: bytes) -> str:
    """Decode a raw key; "" if the key is no valid text."""
    try:
        return jiter.from_json(key)
    except ValueError:
        return ""


def read_value(text: bytes, key: str) -> Any:
    """Parse the value of the field `key`. Raises DecodeError."""
    try:
        return parse(text)
    except ValueError as error:
        problem = str(error)
    try:
        parse_leniently(text)
    except ValueError:
        raise parse_error(text, problem, f"{key}: ") from None
    raise DecodeError(Reason.INVALID_JSON, f"{key}: NaN and Infinity are not valid JSON; send null")


def encoding_error(value: bytes, where: str = "") -> DecodeError | None:
    """The error for bytes that are not UTF-8 or that have a schema registry's framing; None if the bytes are UTF-8."""
    if len(value) >= _FRAME_BYTES and value[0] == 0:
        if value.startswith(BOM_UTF32_BE):
            return DecodeError(Reason.INVALID_ENCODING, "encoded in UTF-32; send UTF-8")
        problem = "the value begins with a schema registry's framing (0x00 and a schema id); "
        return DecodeError(Reason.UNSUPPORTED_ENCODING, f"{problem}configure the producer for plain JSON or text")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        if (other := next((name for mark, name in _MARKS.items() if value.startswith(mark)), None)) is not None:
            return DecodeError(Reason.INVALID_ENCODING, f"encoded in {other}; send UTF-8")
        return DecodeError(Reason.INVALID_ENCODING, f"{where}not UTF-8 at byte {error.start}; send UTF-8")
    return None


def form_error(value: bytes, problem: str, error: ValueError) -> DecodeError:
    """The error for a value of wrong form: the parser's `problem`, or `error` after a duplicate key."""
    return parse_error(value, str(error) if problem.startswith("Detected duplicate key") else problem)


def parse_error(value: bytes, problem: str, where: str = "") -> DecodeError:
    """The error for a value that the parser refused with `problem`. Slow, so only for refused values."""
    if (other := encoding_error(value, where)) is not None:
        return other
    if problem.startswith("Detected duplicate key"):  # jiter quotes the key: the position is enough
        return DecodeError(Reason.INVALID_MESSAGE, f"{where}duplicate key{problem[problem.rfind(' at line') :]}")
    if ("surrogate" in problem or "hex escape" in problem) and _has_lone_surrogate(value):
        return DecodeError(Reason.INVALID_TEXT, f"{where}lone surrogate escape; send surrogates in pairs")
    return DecodeError(Reason.INVALID_JSON, f"{where}{problem}")


def _has_lone_surrogate(value: bytes) -> bool:
    try:
        json.dumps(json.loads(value), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def kind_of(value: Any) -> str:
    """JSON's name for the type of `value`, with its article."""
    if type(value) is str and value.lstrip()[:1] in ("{", "[", '"'):
        try:
            jiter.from_json(value.encode(), allow_inf_nan=True)
        except ValueError:
            return "a string"
        return "a string of JSON, encoded twice"
    kinds = {
        str: "a string",
        list: "a list",
        dict: "an object",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        jiter.LosslessFloat: "a decimal number",
    }
    return kinds.get(type(value), "null")
