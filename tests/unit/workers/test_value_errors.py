"""pydantic's errors about values in the words of a config."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError
from pydantic_core.core_schema import ErrorType

from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.value_errors import _TEXTS, fix_of, given, problem_of


def entry(**options: Any) -> Any:
    with pytest.raises(ValidationError) as caught:
        ModelOptions(**options)
    return caught.value.errors(include_url=False)[0]


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("top_k", "all", "must be a whole number"),
        ("top_k", 1.5, "must be a whole number"),
        ("top_k", 0, "must be at least 1"),
        ("threshold", "x", "must be a number"),
        ("threshold", 1.01, "must be at most 1"),
        ("multi_label", "perhaps", "must be true or false"),
        ("candidate_labels", "a", "must be a list"),
        ("label_names", ["a"], "must be a mapping"),
        ("calibration_texts", 3, "must be a path"),
        ("hypothesis_template", 3, "must be text"),
    ],
)
def test_problem_has_the_words_of_a_config(option: str, value: Any, problem: str) -> None:
    found = entry(**{option: value})
    assert problem_of(found) == problem
    assert given(found) == "", "only a choice is shown: another value may be a secret or a text"


@pytest.mark.parametrize(
    ("option", "value", "shown", "fix"),
    [
        ("dtype", "fp16", ", not 'fp16'", "did you mean float16?"),
        ("dtype", "fp32", ", not 'fp32'", "did you mean float32?"),
        ("dtype", "bf16", ", not 'bf16'", "did you mean bfloat16?"),
        ("dtype", "half", ", not 'half'", "did you mean float16?"),
        ("dtype", "Float16", ", not 'Float16'", "did you mean float16?"),
        ("dtype", "x" * 50, "", ""),
        ("dtype", 16, ", not 16", ""),
        ("dtype", True, ", not true", ""),
        ("dtype", [], "", ""),
        ("device", "gpu", ", not 'gpu'", "did you mean cuda?"),
        ("task", "sentiment-analysis", ", not 'sentiment-analysis'", "did you mean text-classification?"),
        ("task", "zero-shot", ", not 'zero-shot'", "did you mean zero-shot-classification?"),
        ("pooling", "gpu", ", not 'gpu'", ""),
    ],
)
def test_choice_names_the_value_and_the_nearest_one(option: str, value: Any, shown: str, fix: str) -> None:
    found = entry(**{option: value})
    assert (given(found), fix_of(found, "")) == (shown, fix)


def test_fix_says_what_null_means() -> None:
    found = entry(threshold=2)
    assert fix_of(found, "Share; null means 0.5 for some; or more.") == "null means 0.5 for some"
    assert fix_of(found, "Number; null means all.") == "null means all"
    assert fix_of(found, "Number.") == ""


def test_own_texts_are_those_of_pydantic_errors() -> None:
    assert {*_TEXTS} - {*get_args(ErrorType)} == {"path_type"}  # pydantic's own, of no core schema
