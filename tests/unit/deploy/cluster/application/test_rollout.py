"""An application that starts or is updated."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.common import ReplicaState
from ray.serve.schema import ApplicationStatus

from labelstream.deploy.cluster.application import rollout
from labelstream.deploy.names import APP, BOARD
from labelstream.workers.errors import ModelError, StartError
from tests.support.reports import pipeline_report


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
    monkeypatch.setattr(rollout.serve, "status", lambda: SimpleNamespace(applications={APP: next(states)}))
    shown: list[dict[str, str]] = []
    seen: dict[str, str] = {}
    assert not rollout._running(shown.append, seen, {"model-m": old})
    assert rollout._running(shown.append, seen, {"model-m": old})
    assert shown == [{"model-m": "UPDATING"}]
    with pytest.raises(ModelError, match="new"):
        rollout._running(None, seen, {"model-m": old})


def test_start_waits_for_workers_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = SimpleNamespace(
        status=SimpleNamespace(value="HEALTHY"), message="", replica_states={ReplicaState.RUNNING: 1}
    )
    app = SimpleNamespace(status=ApplicationStatus.RUNNING, deployments={BOARD: deployment, "pipeline-p": deployment})
    reports: Any = iter([StartError("no answer"), {"p": {}}, {"p": {"r1": pipeline_report()}}])

    def status() -> Any:
        if isinstance(found := next(reports), StartError):
            raise found
        return {"pipelines": found}

    monkeypatch.setattr(rollout.serve, "status", lambda: SimpleNamespace(applications={APP: app}))
    monkeypatch.setattr(rollout, "status", status)
    assert [rollout._waiting(None, {}, {}) for _ in range(3)] == [[BOARD], ["pipeline-p"], []]
