"""Ranges of numbers: contradictory bounds."""

from typing import Any

import pytest

from tests.support.config_tree import config_error, tree


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"workers": 0}, "pipelines.feedback.workers.min", "must be at least 1"),
        ({"workers": {"min": 0}}, "pipelines.feedback.workers.min", "must be at least 1"),
        ({"workers": {"min": 3, "max": 2}}, "pipelines.feedback.workers", "below min"),
    ],
)
def test_wrong_range_names_the_key(change: dict[str, Any], key: str, words: str) -> None:
    error = config_error(tree(**change))
    assert error.key == key
    assert words in str(error)
