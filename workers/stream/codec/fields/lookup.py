"""Finds the value at a path in parsed JSON."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from labelstream.workers.records.places import JsonPath


class Missing:
    """Type of MISSING, the marker of a missing value."""


class Nothing(NamedTuple):
    """No value at a path: at its part `at` stands null, MISSING, or another type than `needed`."""

    at: str
    actual: Any
    needed: str = "an object"

    @property
    def is_absent(self) -> bool:
        """Whether the value is null or missing, as opposed to a value of another type on the path."""
        return self.actual is None or self.actual is MISSING


MISSING = Missing()
NOT_THERE = Nothing("", MISSING)


def lookup(tree: Any, path: str, above: str = "") -> Any:
    """The value at a dotted path, or Nothing. A key that contains the dots has priority, as in flattened log events."""
    if type(tree) is not dict:
        return Nothing(above, tree)
    if path in tree:
        return tree[path]
    nothing = NOT_THERE
    head, _, rest = path.partition(".")
    while rest:
        if head in tree:
            found = lookup(tree[head], rest, f"{above}.{head}" if above else head)
            if type(found) is not Nothing:
                return found
            nothing = found if nothing.actual is MISSING else nothing
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return nothing


def find(tree: Any, path: JsonPath) -> Any:
    """The value at `path`, which has no star, or Nothing."""
    parts = path.parts
    if len(parts) == 1 and type(parts[0]) is str:
        return lookup(tree, parts[0])
    return find_all(tree, path)[0]


def find_all(tree: Any, path: JsonPath) -> list[Any]:
    """The value at each place that `path` names, in order; Nothing for a place without one."""
    found = [("", tree)]
    for part in path.parts:
        found = [step for above, value in found for step in _steps(above, value, part)]
    return [value for _, value in found]


def find_items(
    tree: Any, parts: tuple[str | int | None, ...], above: str = "", indexes: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Indexes in the lists of a path's stars, and value or Nothing, of each place that the path names, in order.

    A list that is missing or null has no items. What stands in a list's place has fewer indexes than the path stars.
    """
    for at, part in enumerate(parts):
        if part is None:
            if type(tree) is list:
                for index, item in enumerate(tree):
                    yield from find_items(item, parts[at + 1 :], f"{above}[{index}]", (*indexes, index))
                return
            tree = tree if type(tree) is Nothing else Nothing(above, tree, "a list")
            if tree.is_absent:
                return
            break
        above, tree = _steps(above, tree, part)[0]
    yield indexes, tree


def _steps(above: str, value: Any, part: str | int | None) -> list[tuple[str, Any]]:
    """Path and value of each step from `value` by `part`."""
    if type(value) is Nothing:
        return [("", value)]
    if type(part) is str:
        return [(f"{above}.{part}" if above else part, lookup(value, part, above))]
    if type(value) is not list:
        return [("", Nothing(above, value, "a list"))]
    if part is None:
        return [(f"{above}[{index}]", item) for index, item in enumerate(value)]
    return [(f"{above}[{part}]", value[part] if part < len(value) else NOT_THERE)]  # pyright: ignore
