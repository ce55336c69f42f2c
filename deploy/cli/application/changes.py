"""Lists what a new config changes in a running one. Settings are named; their values are never shown."""

from collections.abc import Iterator, Mapping
from typing import Any

PARTS = {"models": "model", "pipelines": "pipeline"}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line per change, models and pipelines first. Both configs come from `without_secrets`."""
    lines = [
        line
        for section, noun in PARTS.items()
        for line in _entries(noun, before.get(section, {}), after.get(section, {}))
    ]
    others = sorted((before.keys() | after.keys()) - PARTS.keys())
    return lines + [_changed(name, keys) for name in others if (keys := _keys(before.get(name), after.get(name)))]


def _entries(noun: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield f"{noun} {name}: added"
        elif name not in after:
            yield f"{noun} {name}: removed"
        elif keys := _keys(before[name], after[name]):
            yield _changed(f"{noun} {name}", keys)


def _changed(what: str, keys: list[str]) -> str:
    named = ", ".join(key for key in keys if key)
    return f"{what}: changed ({named})" if named else f"{what}: changed"


def _keys(before: Any, after: Any, path: str = "") -> list[str]:
    """The dotted keys below `path` whose values differ."""
    if before == after:
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [path]
    return [
        key
        for name in sorted(before.keys() | after.keys())
        for key in _keys(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    ]
