"""Rules that send results elsewhere: what they match, and which of them are refused."""

from typing import Any

import pytest

from labelstream.workers.classifier import Embedding, Prediction
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from labelstream.workers.records.routes import RouteRule, route_topics, unknown_labels
from tests.support.config_tree import tree

SURE = Prediction(("spam", "ham"), (0.9, 0.1), 3, False, "r")
UNSURE = Prediction(("ham", "spam"), (0.6, 0.4), 3, True, "r", accepted=())


@pytest.mark.parametrize(
    ("rule", "matched"),
    [
        ({}, [True, True]),
        ({"label": "spam"}, [True, False]),
        ({"label": ["spam", "ham"]}, [True, True]),
        ({"min_score": 0.9}, [True, False]),
        ({"max_score": 0.6}, [False, True]),
        ({"min_score": 0.6, "max_score": 0.9}, [True, True]),
        ({"label": "ham", "min_score": 0.7}, [False, False]),
        ({"abstained": True}, [False, True]),
        ({"abstained": False}, [True, False]),
        ({"truncated": True}, [False, True]),
        ({"truncated": False, "label": "spam"}, [True, False]),
    ],
)
def test_rule_looks_at_the_best_label(rule: dict[str, Any], matched: list[bool]) -> None:
    made = RouteRule.model_validate({"topic": None, **rule})
    assert [made.matches(answer) for answer in (SURE, UNSURE)] == matched


def test_answer_without_labels_matches_no_rule_of_labels_and_scores() -> None:
    vector = Embedding((0.5,), 3, True, "r")
    assert not RouteRule(topic=None, min_score=0).matches(vector)
    assert not RouteRule(topic=None, label=("a",)).matches(vector)
    assert RouteRule(topic=None, truncated=True).matches(vector)


def test_labels_of_no_model_are_found() -> None:
    rules = [RouteRule(topic="a", label=("x", "y")), RouteRule(topic=None, label=("y", "z")), RouteRule(topic="a")]
    assert unknown_labels(rules, {"y"}) == ["x", "z"]
    assert route_topics(rules) == ["a"]


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"route": [{"label": "a"}]}, "pipelines.feedback.route.0.topic", "is missing"),
        ({"route": [{"topic": "in"}]}, "pipelines.feedback.route.0.topic", "in is an input of the pipeline"),
        ({"route": [{"topic": "dlq"}]}, "pipelines.feedback.route.0.topic", "dlq is the dead-letter topic"),
        (
            {"route": [{"topic": "dlq.redriven"}]},
            "pipelines.feedback.route.0.topic",
            "the redrives of pipeline feedback",
        ),
        ({"review": "r", "route": [{"topic": "r"}]}, "pipelines.feedback.route.0.topic", "r is the review topic"),
        ({"route": [{"topic": None}, {"topic": "x"}]}, "pipelines.feedback.route.0", "move the rule to the end"),
        (
            {"route": [{"topic": None, "min_score": 2, "max_score": 1}]},
            "pipelines.feedback.route.0",
            "is above max_score",
        ),
        ({"route": [{"topic": None, "lable": "a"}]}, "pipelines.feedback.route.0.lable", "unknown setting"),
        ({"route": [{"topic": "a b"}]}, "pipelines.feedback.route.0.topic", "must be of letters"),
    ],
)
def test_wrong_rule_names_the_key_and_the_fix(change: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(tree(**change))
    assert caught.value.key == key
    assert words in str(caught.value)


def test_output_may_be_a_target() -> None:
    load_settings(tree(route=[{"topic": "out", "label": "a"}, {"topic": None}]))


def chain(**second: Any) -> dict[str, Any]:
    """A pipeline that routes to `spam`, and a second one that reads `spam`."""
    both = tree(route=[{"topic": "spam", "label": "spam"}], output_shape="enrich")
    both["pipelines"]["second"] = {
        "input": "spam",
        "output": "out2",
        "dead_letter": "dlq2",
        "model": "sentiment",
        **second,
    }
    return both


def test_another_pipeline_may_read_a_routes_topic() -> None:
    load_settings(chain())
    load_settings(chain(input=["spam", "more"], output_shape="enrich", enrich_field="other"))


@pytest.mark.parametrize(
    ("second", "key", "words"),
    [
        ({"output": "in"}, "pipelines.feedback.input", "in gets the records of pipeline feedback back"),
        ({"route": [{"topic": "in"}]}, "pipelines.feedback.input", "back from pipeline second in an endless loop"),
        ({"output_shape": "enrich"}, "pipelines.second.enrich_field", "pipeline feedback adds to the records of spam"),
    ],
)
def test_chain_through_a_route_is_checked(second: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(chain(**second))
    assert caught.value.key == key
    assert words in str(caught.value)
