"""The section of a pipeline: wrong and contradictory values."""

from typing import Any

import pytest

from tests.support.config_tree import config_error, tree


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"inptu": "x"}, "pipelines.feedback.inptu", "unknown setting"),
        ({"output": None}, "pipelines.feedback.output", "must be text"),
        ({"dead_letter": "in"}, "pipelines.feedback", "dead_letter is an input topic"),
        ({"output": "in"}, "pipelines.feedback", "output is an input topic"),
        ({"dead_letter": "out"}, "pipelines.feedback", "dead_letter is the output topic"),
        ({"review": "out"}, "pipelines.feedback", "review is also an input"),
        ({"input": "a b"}, "pipelines.feedback.input", "must be of letters"),
        ({"format": "text", "text_field": "a"}, "pipelines.feedback", "text_field"),
        ({"breaker": {"max_share": 1.5}}, "pipelines.feedback.breaker.max_share", "must be at most 1"),
        ({"on_offset_out_of_range": "jump"}, "pipelines.feedback.on_offset_out_of_range", "earliest"),
        ({"delivery": "maybe"}, "pipelines.feedback.delivery", "at_least_once"),
    ],
)
def test_wrong_pipeline_names_the_key(change: dict[str, Any], key: str, words: str) -> None:
    error = config_error(tree(**change))
    assert error.key == key
    assert words in str(error)
