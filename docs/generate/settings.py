"""The keys of a config file, each with its description, values and default, from the settings' own fields."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generate.json_types import resolve, type_words
from docs.generate.markdown import code, paragraph, with_code
from labelstream.workers.config.keys import NAME, known_keys
from labelstream.workers.config.schema import config_schema

Key = tuple[str, ...]


def settings() -> str:
    """A heading and a paragraph or two for each key. A section's required keys come first, its inner sections last."""
    return "\n\n".join(_sections(config_schema()))


def _sections(schema: dict[str, Any]) -> Iterator[str]:
    for key in _ordered():
        field = known_keys()[key]
        path = ".".join((*key, NAME) if _is_named_by_users(key) else key)
        yield f"{'###' if _is_section(key) else '####'} {code(path)}"
        yield paragraph(with_code(field.description or ""))
        if facts := _facts(schema, key, field):
            yield paragraph(facts)


def _ordered(section: Key = ()) -> Iterator[Key]:
    inside = [key for key in known_keys() if key != section and _section_of(key) == section]
    keys = [key for key in inside if not _is_section(key)]
    yield from sorted(keys, key=lambda key: not known_keys()[key].is_required())
    for key in filter(_is_section, inside):
        yield key
        yield from _ordered(key)


def _section_of(key: Key) -> Key:
    """The innermost section that `key` is in; empty where it is in none."""
    return next((above for end in range(len(key) - 1, 0, -1) if _is_section(above := key[:end])), ())


def _facts(schema: dict[str, Any], key: Key, field: FieldInfo) -> str:
    words = type_words(schema, _property(schema, key))
    if _is_section(key) or words == "`null`":  # a secret has no value in the file
        return ""
    return f"Values: {words}. {'Required.' if field.is_required() else f'Default: {code(_default(field))}.'}"


@cache
def _is_section(key: Key) -> bool:
    if key not in known_keys():
        return False
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
    if isinstance(value, str) and value.strip() != value:
        return f'"{value}"'
    return {"None": "null", "True": "true", "False": "false", "()": "[]"}.get(str(value), str(value))
