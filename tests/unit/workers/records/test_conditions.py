"""Conditions on records: what a config may say."""

from typing import Any

import pytest

from labelstream.workers.config_file import load_settings, without_secrets
from labelstream.workers.errors import ConfigError
from labelstream.workers.records.conditions import pattern_of
from tests.support.config_tree import tree

PIPELINE = "pipelines.feedback"


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"only_if": {"equals": 1}}, f"{PIPELINE}.only_if.0", "name one of the two"),
        ({"only_if": {"field": "a", "header": "b", "equals": "x"}}, f"{PIPELINE}.only_if.0", "name one of the two"),
        ({"only_if": {"field": "a"}}, f"{PIPELINE}.only_if.0", "set one of equals, in, matches and exists"),
        ({"only_if": {"field": "a", "equals": 1, "exists": True}}, f"{PIPELINE}.only_if.0", "set one of"),
        ({"only_if": {"field": "a[*]", "exists": True}}, f"{PIPELINE}.only_if.0", "names all items"),
        ({"only_if": {"field": "a", "in": []}}, f"{PIPELINE}.only_if.0", "in is empty; give it a value"),
        ({"only_if": {"field": "a", "matches": None}}, f"{PIPELINE}.only_if.0", "matches is empty"),
        ({"only_if": {"field": "a", "exists": None}}, f"{PIPELINE}.only_if.0", "exists is empty"),
        ({"only_if": {"field": "header:a", "exists": True}}, f"{PIPELINE}.only_if.0", "write header: a"),
        ({"only_if": {"header": "a", "equals": 1}}, f"{PIPELINE}.only_if.0", "put the value in quotes"),
        ({"only_if": {"header": "a", "in": ["x", 1]}}, f"{PIPELINE}.only_if.0", "put the value in quotes"),
        ({"only_if": {"field": "a", "matches": "("}}, f"{PIPELINE}.only_if.0.matches", "invalid regular expression"),
        ({"only_if": {"field": "a", "matches": "(?=a)"}}, f"{PIPELINE}.only_if.0.matches", "look-ahead"),
        ({"only_if": [{"field": "a..b", "exists": True}]}, f"{PIPELINE}.only_if.0.field", "must be a path"),
        ({"format": "text", "only_if": {"field": "a", "exists": True}}, PIPELINE, "only_if: field reads JSON"),
        ({"max_age_s": 0}, f"{PIPELINE}.max_age_s", "above 0"),
        ({"otherwise": "pass", "output_shape": "enrich"}, PIPELINE, "otherwise has no effect"),
        ({"otherwise": "pass", "max_age_s": 1}, PIPELINE, "set output_shape to enrich"),
    ],
)
def test_wrong_condition_names_the_key_and_the_fix(change: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(tree(**change))
    assert caught.value.key == key
    assert words in str(caught.value)


def test_conditions_reach_other_processes_as_they_are() -> None:
    only_if = [
        {"field": "a", "in": ["x", 1, True, None]},
        {"header": "h", "exists": False},
        {"field": "b", "equals": None},
    ]
    settings = load_settings(tree(only_if=only_if, max_age_s=60, otherwise="pass", output_shape="enrich"))
    again = load_settings(without_secrets(settings))
    assert again == settings
    operators = [condition.operators() for condition in again.pipelines["feedback"].only_if]
    assert operators == [["in"], ["exists"], ["equals"]]


def test_pattern_takes_linear_time() -> None:
    assert not pattern_of("(a*)*b").isinstance_python("a" * 200_000)
    assert pattern_of("b").isinstance_python("abc")
