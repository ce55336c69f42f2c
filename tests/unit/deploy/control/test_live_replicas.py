"""The replicas that Serve knows."""

from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.control import live_replicas


def test_live_replicas_are_ids_by_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    replicas: Any = [{"replica_id": "r1", "state": "RUNNING"}, {"replica_id": "r2", "state": "STARTING"}]
    deployments = {"pipeline-p": {"replicas": replicas}, "board": {"replicas": []}}
    asked = SimpleNamespace(remote=lambda: {"applications": {live_replicas.APP: {"deployments": deployments}}})
    client = SimpleNamespace(_controller=SimpleNamespace(get_serve_instance_details=asked))
    monkeypatch.setattr(live_replicas.context, "_get_global_client", lambda: client)
    monkeypatch.setattr(live_replicas.ray, "get", lambda answer, timeout: answer)
    assert live_replicas.live_replicas() == {"pipeline-p": ["r1", "r2"], "board": []}
