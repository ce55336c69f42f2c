"""Values at paths in parsed JSON."""

from typing import Any

import pytest

from labelstream.workers.records.places import parse_path
from labelstream.workers.stream.codec.fields.lookup import (
    MISSING,
    NOT_THERE,
    Nothing,
    find,
    find_all,
    find_items,
    lookup,
)

TREE = {"a": {"b": [{"c": 1}, {"c": None}, {"d": 3}, 4], "e.f": 5}, "a.g": 6, "n": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b[0].c", 1),
        ("a.b[3]", 4),
        ("a.b[9]", NOT_THERE),
        ("a.b[1].c", None),
        ("a.e.f", 5),
        ("a.g", 6),
        ("a.h", NOT_THERE),
        ("n.x", Nothing("n", None)),
        ("n[0]", Nothing("n", None, "a list")),
        ("a.b.c", Nothing("a.b", TREE["a"]["b"])),
        ("a.b[3].c", Nothing("a.b[3]", 4)),
        ("a[0]", Nothing("a", TREE["a"], "a list")),
        ("[0].a", Nothing("", TREE, "a list")),
    ],
)
def test_value_or_what_stands_in_its_place(path: str, value: Any) -> None:
    assert find(TREE, parse_path(path)) == value


def test_star_finds_each_item_in_order() -> None:
    found = find_all(TREE, parse_path("a.b[*].c"))
    assert found == [1, None, NOT_THERE, Nothing("a.b[3]", 4)]
    assert find_all([[1, 2], [], [3]], parse_path("[*][*]")) == [1, 2, 3]
    assert find_all(TREE, parse_path("a.x[*].c")) == [NOT_THERE]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[*].c", [((0,), 1), ((1,), None), ((2,), NOT_THERE), ((3,), Nothing("a.b[3]", 4))]),
        ("a.x[*].c", []),
        ("n[*]", []),
        ("a[*]", [((), Nothing("a", TREE["a"], "a list"))]),
        ("a.b[*][*]", [((at,), Nothing(f"a.b[{at}]", TREE["a"]["b"][at], "a list")) for at in range(4)]),
    ],
)
def test_items_have_their_indexes(path: str, found: list[Any]) -> None:
    assert list(find_items(TREE, parse_path(path).parts)) == found


def test_items_of_nested_lists_are_found_as_values_are() -> None:
    tree = [[1, 2], [], [3]]
    assert list(find_items(tree, (None, None))) == [((0, 0), 1), ((0, 1), 2), ((2, 0), 3)]
    assert next(find_items([[]] * 1_000_000, (None,))) == ((0,), [])


def test_missing_or_null_value_is_absent() -> None:
    assert NOT_THERE.is_absent
    assert Nothing("a", None).is_absent
    assert not Nothing("a", []).is_absent
    assert lookup({}, "a").actual is MISSING
