"""What a stream worker gives on of its pipeline's settings."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from labelstream.deploy.deployments import stream_worker as worker_module
from labelstream.deploy.deployments.stream_worker import StreamWorker, check_route
from labelstream.workers.config_file import load_settings
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.errors import ConfigError, StartError
from tests.support.config_tree import tree
from tests.support.descriptions import DESCRIPTION


def test_the_limit_of_tokens_reaches_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def classifier(name: str, handle: Any, call_timeout_s: float, **options: Any) -> Any:
        given[name] = (handle, call_timeout_s, options)
        raise StartError("enough is known")

    monkeypatch.setattr(worker_module, "ServeClassifier", classifier)
    monkeypatch.setattr(worker_module.telemetry, "set_up", lambda settings: None)
    pipeline = {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m"}
    config = {
        "kafka": {"bootstrap_servers": "localhost:9092"},
        "models": {"m": {"source": "/m", "call_timeout_s": 7}},
        "pipelines": {"p": {**pipeline, "limits": {"max_tokens_per_message": 99}}, "q": pipeline},
    }
    config["pipelines"]["q"] = {**pipeline, "group_id": "other"}
    for name, max_tokens in (("p", 99), ("q", 65_536)):
        made: Any = StreamWorker.__new__(StreamWorker)
        with pytest.raises(StartError):
            asyncio.run(made.__init__(name, config, {"m": "a handle"}))
        assert given == {"m": ("a handle", 7, {"max_tokens": max_tokens})}


def described(*labels: str, task: str = "text-classification") -> ModelDescription:
    return replace(DESCRIPTION, labels=labels, task=task)


def test_rule_of_a_label_that_no_model_has_is_an_error() -> None:
    settings = load_settings(tree(route=[{"label": ["a", "b"], "topic": None}]))
    check_route("feedback", settings, {"one": described("a"), "two": described("b", "c")})
    check_route("feedback", settings, {"nli": described("no", "yes", task="zero-shot-classification")})
    with pytest.raises(ConfigError, match=r"unknown label 'b'; name one of the models' labels: a, c") as caught:
        check_route("feedback", settings, {"one": described("a", "c")})
    assert caught.value.key == "pipelines.feedback.route"
