"""The whole tree: defaults, and the sections that a config needs."""

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import tree


def test_defaults() -> None:
    settings = load_settings(tree())
    assert settings.group_id("feedback") == "labelstream-feedback"
    assert settings.pipelines["feedback"].allowed_models == ("sentiment",)
    assert settings.pipelines["feedback"].delivery == "at_least_once"


def test_models_alone_are_served_over_http() -> None:
    settings = load_settings({"models": tree()["models"], "http": None})
    assert settings.http is not None
    assert settings.kafka is None
    assert settings.pipelines == {}
    with pytest.raises(ConfigError, match="kafka: is missing; add it: Kafka brokers"):
        _ = settings.required_kafka


def test_config_without_http_serves_none() -> None:
    assert load_settings(tree()).http is None


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (("pipelines",), "pipelines: is missing; add pipelines, or add http to serve the models over HTTP"),
        (("kafka",), "kafka: is missing; add it: Kafka brokers"),
        (("kafka", "pipelines"), "pipelines: is missing"),
    ],
)
def test_missing_section_is_named(without: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings({key: part for key, part in tree().items() if key not in without})
