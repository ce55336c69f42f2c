"""An application that starts or is updated, and a cluster that is not there."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.schema import ApplicationStatus

from labelstream.deploy.cluster import runtime
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ModelError, StartError


def test_what_failed_before_the_update_is_not_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def app(state: ApplicationStatus, message: str) -> Any:
        deployment = SimpleNamespace(status=SimpleNamespace(value="UPDATING"), message=message)
        return SimpleNamespace(status=state, message="", deployments={"model-m": deployment})

    old, new = "labelstream.workers.errors.ModelError: old", "labelstream.workers.errors.ModelError: new"
    states = iter(
        [
            app(ApplicationStatus.DEPLOYING, old),
            app(ApplicationStatus.RUNNING, ""),
            app(ApplicationStatus.DEPLOYING, new),
        ]
    )
    monkeypatch.setattr(runtime.serve, "status", lambda: SimpleNamespace(applications={runtime.APP: next(states)}))
    shown: list[dict[str, str]] = []
    seen: dict[str, str] = {}
    assert not runtime._running(shown.append, seen, {"model-m": old})
    assert runtime._running(shown.append, seen, {"model-m": old})
    assert shown == [{"model-m": "UPDATING"}]
    with pytest.raises(ModelError, match="new"):
        runtime._running(None, seen, {"model-m": old})


def test_no_cluster_is_said_so_at_once() -> None:
    settings = load_settings(
        {
            "kafka": {"bootstrap_servers": "localhost:1"},
            "models": {"m": {"source": "x"}},
            "pipelines": {"p": {"input": "a", "output": "b", "dead_letter": "c", "model": "m"}},
        }
    )
    with (
        pytest.raises(StartError, match=r"no Ray cluster answers at 127\.0\.0\.1:1: "),
        runtime.ray_for(settings, "127.0.0.1:1"),
    ):
        pass


def test_a_status_without_ray_starts_none() -> None:
    with pytest.raises(StartError, match="not connected"):
        runtime.status()
