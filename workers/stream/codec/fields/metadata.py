"""Encodes values of a record as the metadata of its result. Numbers keep their digits."""

import re
from typing import Any

from pydantic_core import to_json

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.codec.rejection import DecodeError

# The parser reads -0 as 0. All other integers keep their digits.
NEGATIVE_ZERO = re.compile(rb"-0(?![0-9.eE])")


class InexactFloat(Exception):
    """A float that was not parsed losslessly: its digits are unknown."""


def encoded(value: Any, place: str) -> str:
    """JSON of a parsed value. Raises DecodeError for NaN and Infinity, InexactFloat if floats are not lossless."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return to_json(value).decode()
    if kind is int:
        return str(value)
    if kind is dict:
        return (
            "{" + ",".join([f"{to_json(key).decode()}:{encoded(inner, place)}" for key, inner in value.items()]) + "}"
        )
    if kind is float:
        raise InexactFloat
    if kind is list:
        return "[" + ",".join([encoded(item, place) for item in value]) + "]"
    return _number(str(value), place)


def _number(text: str, place: str) -> str:
    if text.endswith(("N", "y")):
        raise DecodeError(Reason.INVALID_JSON, f"fields.metadata {place}: NaN and Infinity are not valid JSON")
    return text
