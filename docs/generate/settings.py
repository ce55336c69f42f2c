"""The keys of a config file, each with its description, values and default, from the settings' own fields."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generate.json_types import resolve, type_words
from docs.generate.markdown import code, paragraph, with_code
from labelstream.workers.config.keys import NAME, known_keys
from labelstream.workers.config.schema import config_schema

Key = tuple[str, ...]


def settings() -> str:
    """A heading and a paragraph or two for each key, sections before what is in them."""
    return "\n\n".join(_sections(config_schema()))


def _sections(schema: dict[str, Any]) -> Iterator[str]:
    for key, field in known_keys().items():
        path = ".".join((*key, NAME) if _is_named_by_users(key) else key)
        yield f"{'###' if _is_section(key) else '####'} {code(path)}"
        yield paragraph(with_code(field.description or ""))
        if facts := _facts(schema, key, field):
            yield paragraph(facts)


def _facts(schema: dict[str, Any], key: Key, field: FieldInfo) -> str:
    words = type_words(schema, _property(schema, key))
    if _is_section(key) or words == "`null`":  # a secret has no value in the file
        return ""
    return f"Values: {words}. {'Required.' if field.is_required() else f'Default: {code(_default(field))}.'}"


def _is_section(key: Key) -> bool:
    inner = {known[-1] for known in known_keys() if len(known) > len(key) and known[: len(key)] == key}
    return bool(inner) and inner != {"min", "max"}


def _is_named_by_users(key: Key) -> bool:
    return any(known[: len(key) + 1] == (*key, NAME) for known in known_keys())


def _property(schema: dict[str, Any], key: Key) -> dict[str, Any]:
    found = schema
    for part in key:
        options = [resolve(schema, option) for option in resolve(schema, found).get("anyOf", [found])]
        found = next(option for option in options if option.get("type") == "object")
        found = next(iter(found["patternProperties"].values())) if part == NAME else found["properties"][part]
    return found


def _default(field: FieldInfo) -> str:
    """As YAML has it."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{name}: {inner}" for name, inner in value.model_dump().items()) + "}"
    if isinstance(value, float):
        return f"{value:g}"
    return {"None": "null", "True": "true", "False": "false", "()": "[]"}.get(str(value), str(value))
