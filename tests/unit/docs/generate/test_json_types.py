"""JSON Schema in words."""

from typing import Any

import pytest

from docs.generate.json_types import resolve, type_words

SCHEMA: dict[str, Any] = {"$defs": {"Score": {"type": "object", "properties": {"label": {}, "score": {}}}}}


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "format": "path"}, "path"),
        ({"type": "string", "pattern": r"\S"}, "text"),
        ({"type": "integer", "minimum": 1000}, "whole number from 1,000"),
        ({"type": "number", "exclusiveMinimum": 0}, "number above 0"),
        ({"const": 1}, "`1`"),
        ({"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]}, "`a`, `b` or `null`"),
        ({"type": "array", "items": {"type": "string"}}, "list of texts"),
        ({"type": "array", "items": {"$ref": "#/$defs/Score"}}, "list of `{label, score}`"),
        ({"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}},
         "object of numbers from 0 to 1"),
        ({"type": "object"}, "object"),
    ],
)  # fmt: skip
def test_type_in_words(own: dict[str, Any], words: str) -> None:
    assert type_words(SCHEMA, own) == words


def test_reference_keeps_what_stands_beside_it() -> None:
    assert resolve(SCHEMA, {"$ref": "#/$defs/Score", "description": "x"})["description"] == "x"
