"""What a stream worker gives on of its pipeline's settings."""

import asyncio
from typing import Any

import pytest

from labelstream.deploy.deployments import stream_worker as worker_module
from labelstream.deploy.deployments.stream_worker import StreamWorker
from labelstream.workers.errors import StartError


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
