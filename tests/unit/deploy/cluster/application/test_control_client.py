"""Questions to a control plane that answers, is silent or is gone."""

from collections.abc import Callable
from typing import Any

import pytest
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from labelstream.deploy.cluster.application import control_client
from labelstream.deploy.control.deployed import Deployed
from labelstream.workers.errors import StartError
from tests.support.fake_board import Board


def test_a_status_without_ray_starts_none() -> None:
    with pytest.raises(StartError, match="not connected"):
        control_client.status()


def test_what_is_deployed_is_the_control_planes_answer(on_cluster: Callable[..., None]) -> None:
    on_cluster({"owner": None, "config": {"a": 1}, "drain_timeout_s": 7.0}, "board")
    assert control_client.deployed() == Deployed(None, {"a": 1}, 7.0)


@pytest.mark.parametrize(("answer", "name"), [(TimeoutError(), "board"), (None, "board"), ({"a": 1}, "model-m")])
def test_application_without_an_answer_is_one_all_the_same(
    on_cluster: Callable[..., None], answer: Any, name: str
) -> None:
    on_cluster(answer, name)
    assert control_client.deployed() == Deployed(None, None, 30.0)


def test_nothing_is_deployed_on_an_empty_cluster(on_cluster: Callable[..., None]) -> None:
    on_cluster(None)
    assert control_client.deployed() is None


@pytest.mark.parametrize("error", [RayServeException("down"), RayError("down"), TimeoutError("down"), KeyError("down")])
def test_application_that_is_gone_is_told_apart_from_a_silent_one(
    on_cluster: Callable[..., None], error: Exception
) -> None:
    on_cluster(error, "board")
    with pytest.raises(StartError, match=r"does not answer: .?down") as end:
        control_client.status()
    assert not isinstance(end.value, control_client.NoApplication)
    on_cluster(error)
    with pytest.raises(control_client.NoApplication):
        control_client.status()


def test_controller_that_is_dead_is_no_missing_application(
    on_cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_: Any) -> Any:
        raise RayError("the controller is dead")

    on_cluster(None, "board")
    monkeypatch.setattr(control_client.serve, "get_deployment_handle", dead)
    monkeypatch.setattr(control_client.serve, "status", dead)
    with pytest.raises(StartError, match="does not answer: the controller is dead") as end:
        control_client.status()
    assert not isinstance(end.value, control_client.NoApplication)


def test_call_that_nobody_waits_for_any_longer_is_cancelled(
    on_cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cluster(None, "board")
    board = Board(TimeoutError("late"))
    monkeypatch.setattr(control_client.serve, "get_deployment_handle", lambda name, app: board)
    with pytest.raises(StartError, match="does not answer: late"):
        control_client.status()
    assert board.cancelled
