"""`input`: a topic, a list or a pattern, and the topics of the config that a pipeline must not read."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from labelstream.workers.records.inputs import InputTopics, TopicPattern
from tests.support.config_tree import tree

NAMES = st.text(st.sampled_from("ab._-"), min_size=1, max_size=12)


def two(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = tree(**first)
    both["pipelines"]["second"] = {
        "input": "in2",
        "output": "out2",
        "dead_letter": "dlq2",
        "model": "sentiment",
        **second,
    }
    return both


@pytest.mark.parametrize(
    ("input", "names", "shown"),
    [
        ("in", ("in",), "in"),
        (["a", "b"], ("a", "b"), "a, b"),
        ({"pattern": "logs[.].*"}, (), "the topics that match logs[.].*"),
    ],
)
def test_input_has_three_forms(input: Any, names: tuple[str, ...], shown: str) -> None:
    inputs = load_settings(tree(input=input)).pipelines["feedback"].inputs
    assert (inputs.names, str(inputs)) == (names, shown)


@pytest.mark.parametrize("value", ['["a", "b"]', '{"pattern": "a|b"}'])
def test_environment_gives_a_list_or_pattern(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_PIPELINES__FEEDBACK__INPUT", value)
    assert load_settings(tree()).pipelines["feedback"].inputs.among(["c", "b", "a"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("input", "said"),
    [
        ([], "must be a topic, a list of topics, or {pattern: REGEX}"),
        (3, "must be a topic, a list of topics, or {pattern: REGEX}"),
        (["a", 3], "must be a topic, a list of topics, or {pattern: REGEX}"),
        ({"patern": "a"}, "must be a topic, a list of topics, or {pattern: REGEX}"),
        ({"pattern": ""}, "must be a topic, a list of topics, or {pattern: REGEX}"),
        (["a", "b c"], "'b c' is not a topic's name, which must be of letters, digits, ., _ and -, 249 at most"),
        (["a", "b", "a"], "a is listed twice; name each topic once"),
        ({"pattern": "["}, "invalid regular expression: unclosed character class; use the syntax of the Rust crate"),
        ({"pattern": "a)(b"}, "invalid regular expression: unopened group"),
        (["a", "dlq.redriven"], "dlq.redriven is the topic of the redrives of pipeline feedback; name another topic"),
        ({"pattern": "ou."}, "the pattern matches out, the output of pipeline feedback; narrow the pattern, or rename"),
    ],
)
def test_wrong_input_names_key_and_fix(input: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings(tree(input=input))
    assert str(raised.value).startswith(f"pipelines.feedback.input: {said}")


@pytest.mark.parametrize("key", ["dead_letter", "output", "review"])
def test_listed_input_is_no_topic_of_the_same_pipeline(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key} is (also )?an input"):
        load_settings(tree(input=["a", "b"], **{key: "b"}))


@pytest.mark.parametrize(
    ("topic", "use"),
    [
        ("out2", "output"),
        ("dlq2", "dead-letter topic"),
        ("dlq2.redriven", "topic of the redrives"),
        ("rev2", "review topic"),
        ("route2", "route topic"),
    ],
)
def test_pattern_matches_no_topic_that_any_pipeline_writes(topic: str, use: str) -> None:
    second = {"review": "rev2", "route": [{"topic": "route2"}]}
    pattern = topic.replace(".", "[.]")
    with pytest.raises(ConfigError, match=f"matches {topic}, the {use} of pipeline second; narrow"):
        load_settings(two({"input": {"pattern": pattern}}, second))
    load_settings(two({"input": {"pattern": f"{pattern}x|{pattern[1:]}"}}, second))  # only whole names match


def test_listed_topic_may_be_another_pipelines_output() -> None:
    found = load_settings(two({"input": ["in", "out2"]}, {})).pipelines["feedback"]
    assert found.inputs.match("out2")
    with pytest.raises(ConfigError, match="out2 gets the records of pipeline feedback back from pipeline second"):
        load_settings(two({"input": ["in", "out2"]}, {"input": ["x", "out"]}))


def test_pattern_takes_linear_time() -> None:
    began = time.perf_counter()
    assert not InputTopics((), "(a*)*(a*)*b").match("a" * 249)
    assert time.perf_counter() - began < 60, "an engine that backtracks would take years"


@given(NAMES, st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_named_topics_match_only_themselves(topic: str, names: list[str]) -> None:
    assert InputTopics.of(tuple(names)).match(topic) is (topic in names)


@given(NAMES, NAMES)
def test_pattern_matches_whole_names_and_never_internal_ones(topic: str, other: str) -> None:
    literal = topic.replace(".", "[.]")
    inputs = InputTopics.of(TopicPattern(pattern=f"{literal}|zz"))
    assert inputs.match(other) is (topic == other and not topic.startswith("__"))
    assert not inputs.match(f"{topic}\n")
