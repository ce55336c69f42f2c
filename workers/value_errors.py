"""pydantic's errors about single values in the words of a config. No pydantic: the entries are plain dicts."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

CHOICES = ("literal_error", "enum")  # types of entries whose value is shown: no secret is one of several choices
_NUMBER, _WHOLE, _SWITCH = "must be a number", "must be a whole number", "must be true or false"
_TEXTS = {
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("bool_type", "bool_parsing"), _SWITCH),
    "string_type": "must be text",
    "path_type": "must be a path",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
}
# Names of the same choice elsewhere.
_ALSO = {
    "fp16": "float16",
    "half": "float16",
    "fp32": "float32",
    "float": "float32",
    "bf16": "bfloat16",
    "gpu": "cuda",
    "sentiment-analysis": "text-classification",
    "zero-shot": "zero-shot-classification",
    "embedding": "feature-extraction",
    "embeddings": "feature-extraction",
}
_NULL = re.compile(r"null means ((?:[^;:.]|\.(?=\d))+)")
_MAX_CHARS = 40


def problem_of(entry: Mapping[str, Any]) -> str:
    """What an entry of `ValidationError.errors()` says."""
    if (text := _TEXTS.get(entry["type"])) is not None:
        bounds = entry.get("ctx", {})
        return text.format(**{name: f"{one:g}" if isinstance(one, float) else one for name, one in bounds.items()})
    return entry["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)


def given(entry: Mapping[str, Any]) -> str:
    """The wrong choice, such as `, not 'fp16'`; empty for a value of another kind."""
    value = entry.get("input")
    if entry["type"] not in CHOICES or not isinstance(value, str | int | float):
        return ""
    shown = repr(value) if isinstance(value, str) else str(value).lower()
    return f", not {shown}" if len(shown) <= _MAX_CHARS else ""


def fix_of(entry: Mapping[str, Any], description: str) -> str:
    """The choice that the value probably means, else what null means for a key with this `description`; or empty."""
    value = entry.get("input")
    if entry["type"] in CHOICES and isinstance(value, str):
        known = re.findall(r"'([^']*)'", entry.get("ctx", {}).get("expected", ""))
        meant = _ALSO.get(value.lower())
        near = [meant] if meant in known else get_close_matches(value.lower()[:_MAX_CHARS], known, 1)
        if near:
            return f"did you mean {near[0]}?"
    null = _NULL.search(description)
    return f"null means {null[1]}" if null else ""
