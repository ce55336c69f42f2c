"""The config's published JSON Schema accepts what the settings accept."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from labelstream.schemas.export import FOLDER
from labelstream.workers.config.keys import known_keys
from labelstream.workers.config.schema import config_schema, render
from labelstream.workers.config_file import load_settings, read_config_file
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import tree

EXAMPLES = sorted((Path(__file__).parents[4] / "deploy/examples").glob("*.yaml"))


def with_keys(path: str, value: Any) -> dict[str, Any]:
    """A valid config, except for `value` at the dotted `path`."""
    config: dict[str, Any] = tree()
    *sections, key = path.split(".")
    section = config
    for name in sections:
        section = section.setdefault(name, {})
    section[key] = value
    return config


def is_valid(config: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(config_schema()).is_valid(config)


def test_file_does_not_drift() -> None:
    assert (FOLDER / "config.schema.json").read_text(encoding="utf-8") == render(), "run make schemas"
    jsonschema.Draft202012Validator.check_schema(config_schema())


def test_every_key_is_described() -> None:
    for definition in (config_schema(), *config_schema()["$defs"].values()):
        for key, value in definition.get("properties", {}).items():
            assert value.get("description"), key
    assert len(known_keys()) > 80


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path: Path) -> None:
    jsonschema.validate(read_config_file(path), config_schema())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kafka.bootstrap_servers", ["a:1", "b:2"]),
        ("kafka.bootstrap_servers", "a:1,b:2"),
        ("kafka.node_labels", {"zone": "a"}),
        ("models.sentiment.replicas", 3),
        ("models.sentiment.replicas", {"min": 0, "max": 3}),
        ("models.sentiment.num_gpus", "auto"),
        ("models.sentiment.num_gpus", 0.5),
        ("models.sentiment.top_k", None),
        ("models.sentiment.thresholds", {"POSITIVE": 0.7}),
        ("pipelines.feedback.workers", 2),
        ("pipelines.feedback.models", ["sentiment"]),
        ("pipelines.feedback.max_in_flight", "auto"),
        ("pipelines.feedback.max_in_flight", 8),
        ("kafka.security.ca_file", None),
        ("tracing.endpoint", "http://collector:4318/v1/traces"),
    ],
)
def test_short_forms_are_valid_in_schema_and_settings(path: str, value: Any) -> None:
    config = with_keys(path, value)
    load_settings(config)
    assert is_valid(config)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kafka.bootstrap_servers", "localhost"),
        ("kafka.security.password", "hunter2"),
        ("kafka.compresion", "lz4"),
        ("models.sentiment.device", "gpu"),
        ("models.sentiment.replicas", 0),
        ("models.Bad Name", {"source": "x"}),
        ("models", {}),
        ("pipelines.feedback.inptu", "x"),
        ("pipelines.feedback.input", "a b"),
        ("pipelines.feedback.workers", {"mn": 1}),
        ("pipelines.feedback.max_in_flight", "all"),
        ("log", {}),
    ],
)
def test_wrong_values_fail_in_schema_and_settings(path: str, value: Any) -> None:
    config = with_keys(path, value)
    with pytest.raises(ConfigError):
        load_settings(config)
    assert not is_valid(config)
