"""The preflight finds every problem: brokers, topics, machine and models, in this order."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from labelstream.deploy.cli.application import preflight
from labelstream.deploy.cli.application.preflight import (
    find_model,
    model_findings,
    route_findings,
    show_findings,
    start_findings,
)
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.connect import load_config
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from labelstream.workers.config_file import load_settings
from labelstream.workers.engine.inspection import child_process
from labelstream.workers.engine.loading import hub
from labelstream.workers.errors import ModelError
from labelstream.workers.settings.model import ModelSettings
from labelstream.workers.stream.broker.finding import Finding
from tests.support.config_tree import tree
from tests.support.descriptions import DESCRIPTION

WriteConfig = Callable[..., str]


def found(write_config: WriteConfig, **more: Any) -> list[Finding]:
    return list(start_findings(load_config(write_config(**more)), None))  # type: ignore[arg-type]


def test_findings_are_ordered_brokers_machine_models(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "local_findings", lambda settings, port, runs: [Finding("machine", "no GPU")])
    findings = found(write_config)
    assert [finding.key for finding in findings] == [
        "kafka.bootstrap_servers",
        "machine",
        "models.sentiment.source",
    ]
    assert findings[2].text.startswith("/no/such/model: no such directory")


def test_in_memory_broker_has_no_transactions(write_config: WriteConfig, tmp_path: Any) -> None:
    broker = InMemoryBroker()
    try:
        config = write_config("dead_letter: dlq", "dead_letter: dlq, delivery: exactly_once", broker.bootstrap)
        note, problem, model = start_findings(load_config(config), None)  # type: ignore[arg-type]
    finally:
        broker.close()
    assert (note.level, note.text) == (
        logging.INFO,
        "an in-memory broker, which creates topics on first use and checks no permissions",
    )
    assert problem.key == "pipelines.feedback.delivery"
    assert "exactly_once needs a real broker" in problem.text
    assert model.key == "models.sentiment.source"


def settings_of(**sources: str) -> dict[str, Any]:
    """Models by name; `owner/name@commit` gives a revision."""
    named = {name: source.partition("@") for name, source in sources.items()}
    return {name: ModelSettings(source=at[0], revision=at[2] or None) for name, at in named.items()}


def test_every_wrong_model_is_reported() -> None:
    def check(model: Any) -> None:
        if model.source != "./sound":
            raise ModelError(f"{model.source}: is not there")

    findings = list(model_findings(settings_of(a="./x", b="./sound", c="./y"), check))
    assert findings == [
        Finding("models.a.source", "./x: is not there"),
        Finding("models.c.source", "./y: is not there"),
    ]


def test_hub_model_without_a_revision_is_a_note() -> None:
    models = settings_of(loose="owner/name", pinned="owner/name@714eb0f", folder="./model")
    (note,) = model_findings(models, lambda model: None)
    assert (note.key, note.level) == ("models.loose.revision", logging.INFO)
    assert "set it to a commit" in note.text


def test_label_of_a_route_that_no_model_has_is_a_problem() -> None:
    settings = load_settings(tree(route=[{"label": "BAD", "topic": "bad"}]))
    descriptions: dict[str, Any] = {}
    described = replace(DESCRIPTION, labels=("NEGATIVE", "POSITIVE"))
    assert not list(model_findings(settings.models, lambda model: described, descriptions))
    (found,) = route_findings(settings, descriptions)
    assert (found.key, found.is_problem) == ("pipelines.feedback.route", True)
    assert found.text == "unknown label 'BAD'; name one of the models' labels: NEGATIVE, POSITIVE"
    assert not list(route_findings(settings, {})), "of models that were not loaded nothing is known"


class Hub:
    """A hub with one model."""

    def model_info(self, source: str, revision: str | None, timeout: float) -> None:
        if source != "owner/known":
            raise OSError("404")


def test_hub_model_is_looked_up_without_download(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(hub, "locate", lambda source, revision: asked.append(source) or DEMO_MODEL)
    monkeypatch.setattr(child_process, "inspect_in_child", lambda source, folder: None)
    for source in ("owner/known", "owner/unknown", "no hub's name"):
        find_model(ModelSettings(source=source))
    assert asked == ["owner/unknown", "no hub's name"], "which says in its words what is wrong"


ZERO_SHOT: dict[str, Any] = {"task": "zero-shot-classification", "candidate_labels": ("a", "b")}


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"attn_implementation": "evil/kernel"}, {}, "code of the hub"),
        ({"num_labels": 3}, {}, "num_labels in config.json is 3"),
        ({}, {"label_names": {"LABEL_0": "info"}}, "label_names: 'LABEL_0' is no label of the model; name one of NEG"),
        ({}, ZERO_SHOT, "needs a model of natural language inference"),
    ],
)
def test_unusable_model_config_is_reported(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    for file in DEMO_MODEL.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=said):
        find_model(ModelSettings(source=str(tmp_path), **options))


def test_demo_model_has_no_findings() -> None:
    find_model(ModelSettings(source=str(DEMO_MODEL)))


def test_cached_model_needs_no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **more: str(tmp_path / "config.json"))
    monkeypatch.setattr(huggingface_hub, "HfApi", None)
    monkeypatch.setattr(hub, "locate", None)
    find_model(ModelSettings(source="owner/cached"))


def test_each_finding_is_one_line() -> None:
    said: list[tuple[int, str]] = []
    findings = [
        Finding("a", "two\nlines"),
        Finding("b", "wrong", logging.ERROR),
        Finding("c", "doubtful", logging.WARNING),
        Finding("d", "good to know", logging.INFO),
    ]
    assert show_findings(findings, lambda level, line: said.append((level, line))) == 2
    assert said == [
        (logging.ERROR, "a: two lines"),
        (logging.ERROR, "b: wrong"),
        (logging.WARNING, "c: doubtful"),
        (logging.INFO, "d: good to know"),
    ]
