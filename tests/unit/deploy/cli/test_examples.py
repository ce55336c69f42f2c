"""The example configs are accepted by the command that users check theirs with, and it would say what is wrong."""

from pathlib import Path

import pytest
import yaml

from labelstream.workers.config_file import read_config_file
from tests.unit.deploy.cli.conftest import Run

ROOT = Path(__file__).parents[4]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))
KNOWN = {"distilbert/distilbert-base-uncased-finetuned-sst-2-english": "714eb0fa89d2f80546fda750413ed43d93601a13"}
PATHS = [pytest.param(path, id=path.stem) for path in EXAMPLES]


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} >= {
        "sst2",
        "zero-shot",
        "logs",
        "several-models",
        "exactly-once",
        "sasl-ssl",
        "autoscaling",
        "long-texts",
        "embeddings",
        "chain",
        "http",
    }


def test_index_lists_every_example() -> None:
    index = (ROOT / "deploy" / "examples" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES if f"]({path.name})" not in index] == []


@pytest.mark.parametrize("path", PATHS)
def test_an_example_is_accepted(run: Run, path: Path) -> None:
    ended = run("check", "-c", str(path))
    assert (ended.code, ended.err) == (0, "")
    for name in read_config_file(path).get("pipelines", ()):
        assert f"pipeline {name}: " in ended.out


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_key_in_any_section_is_named(run: Run, path: Path, tmp_path: Path) -> None:
    for section in read_config_file(path):
        tree = read_config_file(path)
        part = tree[section]
        entry = next(iter(part.values())) if section in ("models", "pipelines") else part
        entry["batch_sise"] = 1
        wrong = tmp_path / "wrong.yaml"
        wrong.write_text(yaml.safe_dump(tree))
        ended = run("check", "-c", str(wrong))
        assert ended.code == 2
        assert f"labelstream: {section}." in ended.err
        assert "batch_sise: unknown setting" in ended.err


@pytest.mark.parametrize("path", PATHS)
def test_a_hub_model_is_pinned_or_the_example_says_why_not(path: Path) -> None:
    for model in read_config_file(path)["models"].values():
        if model["source"].startswith("/"):
            assert "revision" not in model
        elif model["source"] in KNOWN:
            assert model["revision"] == KNOWN[model["source"]]
        else:
            assert f"source: {model['source']}\n    # revision: no commit is known here" in path.read_text()
