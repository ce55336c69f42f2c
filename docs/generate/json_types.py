"""What a value in a JSON Schema may be, in words."""

from typing import Any

from docs.generate.markdown import code
from labelstream.workers.settings.forms import FORMS

_FORMATS = {"path": "path", "date-time": "time in ISO 8601"}
_KINDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "object": "object",
    "null": "`null`",
}


def type_words(schema: dict[str, Any], own: dict[str, Any]) -> str:
    """The values that `own`, a part of `schema`, allows."""
    *first, last = dict.fromkeys(_options(schema, own))
    comma = "," * any(", " in option for option in first)
    return f"{', '.join(first)}{comma} or {last}" if first else last


def _options(schema: dict[str, Any], own: dict[str, Any]) -> list[str]:
    own = resolve(schema, own)
    if "anyOf" in own:
        return [words for option in own["anyOf"] for words in _options(schema, option)]
    if "enum" in own:
        return [code(str(value)) for value in own["enum"]]
    return [_kind(schema, own)]


def _kind(schema: dict[str, Any], own: dict[str, Any]) -> str:
    if "const" in own:
        return code(str(own["const"]))
    if own["type"] == "array":
        return f"list of {_plural(type_words(schema, own['items']))}"
    if own["type"] == "object":
        return _object(schema, own)
    if own["type"] == "string":
        return _text(own)
    return _KINDS[own["type"]] + _bounds(own)


def _text(own: dict[str, Any]) -> str:
    form = FORMS.get(own.get("pattern", ""), "")
    if form.startswith("must be of "):  # letters and digits
        return "name"
    return _FORMATS.get(own.get("format", "")) or (form.removeprefix("must be ") if "must be" in form else "text")


def _bounds(own: dict[str, Any]) -> str:
    match own:
        case {"minimum": least, "maximum": most}:
            return f" from {least:,} to {most:,}"
        case {"minimum": least}:
            return f" from {least:,}"
        case {"exclusiveMinimum": bound}:
            return f" above {bound:,}"
    return ""


def resolve(schema: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` with what its `$ref` leads to."""
    return {**schema["$defs"][own["$ref"].rpartition("/")[2]], **own} if "$ref" in own else own


def _object(schema: dict[str, Any], own: dict[str, Any]) -> str:
    if "properties" in own:
        inner = ", ".join(own["properties"])
        return code(f"{{{inner}}}")
    values = own.get("additionalProperties")
    return f"object of {_plural(type_words(schema, values))}" if isinstance(values, dict) else "object"


def _plural(words: str) -> str:
    noun, behind, bounds = words.partition(" from ")
    return f"{noun}s{behind}{bounds}" if noun in {"text", "name", *_KINDS.values()} else words
