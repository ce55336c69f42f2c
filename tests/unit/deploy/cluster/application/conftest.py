"""A cluster whose control plane gives one answer."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.cluster.application import control_client
from labelstream.deploy.names import APP
from tests.support.fake_board import Board


@pytest.fixture
def on_cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """on_cluster(answer, *deployments): an application of these, whose control plane gives the answer."""

    def put(answer: Any, *deployments: str) -> None:
        app = SimpleNamespace(deployments=dict.fromkeys(deployments))
        applications = {APP: app} if deployments else {}
        monkeypatch.setattr(control_client.serve, "status", lambda: SimpleNamespace(applications=applications))
        monkeypatch.setattr(control_client.serve, "get_deployment_handle", lambda name, app: Board(answer))
        monkeypatch.setattr(control_client.ray, "is_initialized", lambda: True)

    return put
