"""Contradictions between sections: unknown models, and groups that two pipelines share."""

from typing import Any

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import config_error, tree


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"model": "nope"}, "pipelines.feedback.model", "no model 'nope'"),
        ({"models": ["nope"]}, "pipelines.feedback.model", "no model 'nope'"),
    ],
)
def test_unknown_model_names_the_key(change: dict[str, Any], key: str, words: str) -> None:
    error = config_error(tree(**change))
    assert error.key == key
    assert words in str(error)


def test_unknown_model_of_http_names_the_key() -> None:
    error = config_error({**tree(), "http": {"default_model": "nope"}})
    assert error.key == "http.default_model"
    assert "no model 'nope' under models; name one of sentiment" in str(error)


def test_pipelines_with_one_group_are_refused() -> None:
    config = tree(group_id="g")
    config["pipelines"]["other"] = config["pipelines"]["feedback"] | {"input": "in2"}
    with pytest.raises(ConfigError, match="share the group_id 'g'"):
        load_settings(config)
