"""Limits of messages: contradictory bounds."""

from typing import Any

import pytest

from tests.support.config_tree import config_error, tree


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"limits": {"max_message_bytes": 100 << 20}}, "pipelines.feedback.limits", "is below max_message_bytes"),
        ({"limits": {"max_batch_bytes": 1_000}}, "pipelines.feedback.limits.max_batch_bytes", "1048576"),
        (
            {"limits": {"max_in_flight_bytes": 64 << 20, "max_batch_bytes": 65 << 20}},
            "pipelines.feedback.limits",
            "is below max_batch_bytes",
        ),
    ],
)
def test_wrong_limit_names_the_key(change: dict[str, Any], key: str, words: str) -> None:
    error = config_error(tree(**change))
    assert error.key == key
    assert words in str(error)
