"""A first config is valid as written, by the schema, and with each of its examples."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import jsonschema
import pytest
import yaml

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.config.first_config import Choices, render
from labelstream.workers.config.schema import config_schema
from labelstream.workers.config_file import load_settings

EXAMPLE = re.compile(r"^( *)# (\w+: \S.*|security:)$", re.MULTILINE)


def config(file: Path = Path("/work/labelstream.yaml"), **choices: Any) -> dict[str, Any]:
    return yaml.safe_load(render(Choices(**{"bootstrap": "h:1", "input": "feedback.raw", **choices}), file))


def test_first_config_has_demo_model_and_is_valid() -> None:
    found = config()
    jsonschema.validate(found, config_schema())
    settings = load_settings(found)
    assert settings.models["sentiment"].source == str(DEMO_MODEL)
    assert settings.pipelines["feedback"].output == "feedback.labels"
    assert settings.pipelines["feedback"].dead_letter == "feedback.dlq"


def test_each_example_is_valid_without_its_hash() -> None:
    text = render(Choices("h:1", "feedback.raw", model="owner/name"), Path("labelstream.yaml"))
    examples = [found for found in EXAMPLE.finditer(text) if found[2] != "security:"]
    assert len(examples) > 10
    for found in examples:
        changed = text[: found.start()] + f"{found[1]}{found[2]}" + text[found.end() :]
        load_settings(yaml.safe_load(changed))
    security = re.sub(r"^  # (security:|  \w+: .*)$", r"  \1", text, flags=re.MULTILINE)
    assert load_settings(yaml.safe_load(security)).required_kafka.security.protocol == "SASL_SSL"


def test_schema_line_names_published_schema() -> None:
    first = render(Choices("h:1", "in"), Path("labelstream.yaml")).splitlines()[0]
    url = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert url is not None
    assert yaml.safe_load(Path(url2pathname(urlsplit(url[1]).path)).read_text()) == config_schema()


@pytest.mark.parametrize(
    ("topic", "pipeline", "labels"),
    [
        ("tickets.raw", "tickets", "tickets.labels"),
        ("Team_A-orders", "team_a-orders", "Team_A-orders.labels"),
        ("123", "123", "123.labels"),
        ("_", "pipeline", "_.labels"),
        ("x" * 60, "x" * 50, "x" * 60 + ".labels"),
    ],
)
def test_pipeline_and_topics_are_named_after_input(topic: str, pipeline: str, labels: str) -> None:
    found = load_settings(config(input=topic)).pipelines
    assert list(found) == [pipeline]
    assert (found[pipeline].input, found[pipeline].output) == (topic, labels)


def test_given_topics_are_used() -> None:
    found = config(output="1e3", dead_letter="null")["pipelines"]["feedback"]
    assert (found["output"], found["dead_letter"]) == ("1e3", "null")


def test_model_below_the_file_has_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert config(tmp_path / "a/c.yaml", model="a/model")["models"]["classifier"]["source"] == "./model"
    assert config(tmp_path / "b/c.yaml", model="a/model")["models"]["classifier"]["source"] == str(tmp_path / "a/model")
    assert config(tmp_path / "c.yaml", model="owner/name")["models"]["classifier"]["source"] == "owner/name"
