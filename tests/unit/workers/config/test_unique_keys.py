"""A repeated YAML key is an error, and a merged key may be overridden."""

import pytest
import yaml

from labelstream.workers.config.unique_keys import KeyTwice, UniqueKeysLoader


def load(text: str) -> object:
    return yaml.load(text, UniqueKeysLoader)


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\nb: 2\na: 3", 2), ("a: {b: 1, b: 2}", 0), ("a:\n- b: 1\n  c: 2\n  b: 3", 3)]
)
def test_repeated_key_is_an_error(text: str, line: int) -> None:
    with pytest.raises(KeyTwice) as caught:
        load(text)
    assert caught.value.problem in ("a", "b")
    assert caught.value.problem_mark is not None
    assert caught.value.problem_mark.line == line


def test_key_may_override_a_merged_one() -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {<<: *x, a: 3}\nz: {<<: *y, a: 4}"
    assert load(text) == {"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 2}, "z": {"a": 4, "b": 2}}
    assert load("a: {x: 1}\nb: {x: 2}\n3: 1") == {"a": {"x": 1}, "b": {"x": 2}, 3: 1}
