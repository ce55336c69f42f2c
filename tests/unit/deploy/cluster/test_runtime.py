"""An application that starts or is updated, and a cluster that is not there."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray._private.node import Node
from ray.exceptions import RayError
from ray.serve._private.common import ReplicaState
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus

from labelstream.deploy.cluster import runtime
from labelstream.deploy.control.deployed import new_owner
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ModelError, StartError
from tests.support.reports import pipeline_report
from tests.support.streams import wait_until


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


def test_start_waits_for_workers_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = SimpleNamespace(
        status=SimpleNamespace(value="HEALTHY"), message="", replica_states={ReplicaState.RUNNING: 1}
    )
    app = SimpleNamespace(
        status=ApplicationStatus.RUNNING, deployments={runtime.BOARD: deployment, "pipeline-p": deployment}
    )
    reports: Any = iter([StartError("no answer"), {"p": {}}, {"p": {"r1": pipeline_report()}}])

    def status() -> Any:
        if isinstance(found := next(reports), StartError):
            raise found
        return {"pipelines": found}

    monkeypatch.setattr(runtime.serve, "status", lambda: SimpleNamespace(applications={runtime.APP: app}))
    monkeypatch.setattr(runtime, "status", status)
    assert [runtime._waiting(None, {}, {}) for _ in range(3)] == [[runtime.BOARD], ["pipeline-p"], []]


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


class Board:
    """In place of a handle. `answer`: an exception is raised."""

    def __init__(self, answer: Any) -> None:
        self._answer, self.cancelled = answer, False

    def options(self, method_name: str) -> "Board":
        return self

    def remote(self) -> "Board":
        return self

    def cancel(self) -> None:
        self.cancelled = True

    def result(self, timeout_s: float) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def on_cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """on_cluster(answer, *deployments): an application of these, whose control plane gives the answer."""

    def put(answer: Any, *deployments: str) -> None:
        app = SimpleNamespace(deployments=dict.fromkeys(deployments))
        applications = {runtime.APP: app} if deployments else {}
        monkeypatch.setattr(runtime.serve, "status", lambda: SimpleNamespace(applications=applications))
        monkeypatch.setattr(runtime.serve, "get_deployment_handle", lambda name, app: Board(answer))
        monkeypatch.setattr(runtime.ray, "is_initialized", lambda: True)

    return put


def test_what_is_deployed_is_the_control_planes_answer(on_cluster: Callable[..., None]) -> None:
    on_cluster({"owner": None, "config": {"a": 1}, "drain_timeout_s": 7.0}, "board")
    assert runtime.deployed() == runtime.Deployed(None, {"a": 1}, 7.0)


@pytest.mark.parametrize(("answer", "name"), [(TimeoutError(), "board"), (None, "board"), ({"a": 1}, "model-m")])
def test_application_without_an_answer_is_one_all_the_same(
    on_cluster: Callable[..., None], answer: Any, name: str
) -> None:
    on_cluster(answer, name)
    assert runtime.deployed() == runtime.Deployed(None, None, 30.0)


def test_nothing_is_deployed_on_an_empty_cluster(on_cluster: Callable[..., None]) -> None:
    on_cluster(None)
    assert runtime.deployed() is None
    assert runtime.drain()
    assert runtime.undeploy()


def test_application_of_another_owner_is_not_removed(on_cluster: Callable[..., None]) -> None:
    ours, theirs = (runtime_owner(name) for name in ("a.yaml", "b.yaml"))
    on_cluster({"owner": theirs, "config": {}, "drain_timeout_s": 7.0}, "board", "pipeline-p")
    assert runtime.undeploy(ours)  # with nothing to call, a removal would fail


def runtime_owner(file: str) -> Any:
    return new_owner("run", Path(file), False)


@pytest.mark.parametrize("error", [RayServeException("down"), RayError("down"), TimeoutError("down"), KeyError("down")])
def test_application_that_is_gone_is_told_apart_from_a_silent_one(
    on_cluster: Callable[..., None], error: Exception
) -> None:
    on_cluster(error, "board")
    with pytest.raises(StartError, match=r"does not answer: .?down") as end:
        runtime.status()
    assert not isinstance(end.value, runtime.NoApplication)
    on_cluster(error)
    with pytest.raises(runtime.NoApplication):
        runtime.status()


def test_controller_that_is_dead_is_no_missing_application(
    on_cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_: Any) -> Any:
        raise RayError("the controller is dead")

    on_cluster(None, "board")
    monkeypatch.setattr(runtime.serve, "get_deployment_handle", dead)
    monkeypatch.setattr(runtime.serve, "status", dead)
    with pytest.raises(StartError, match="does not answer: the controller is dead") as end:
        runtime.status()
    assert not isinstance(end.value, runtime.NoApplication)


def test_call_that_nobody_waits_for_any_longer_is_cancelled(
    on_cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cluster(None, "board")
    board = Board(TimeoutError("late"))
    monkeypatch.setattr(runtime.serve, "get_deployment_handle", lambda name, app: board)
    with pytest.raises(StartError, match="does not answer: late"):
        runtime.status()
    assert board.cancelled


def test_processes_that_nobody_uses_are_not_started_within_it_alone() -> None:
    before = {name: getattr(Node, name) for name in runtime.UNUSED}
    with runtime._without_unused():
        node = Node.__new__(Node)
        assert [getattr(node, name)(include_dashboard=False) for name in runtime.UNUSED] == [None] * len(before)
    assert {name: getattr(Node, name) for name in runtime.UNUSED} == before


def test_ray_without_such_a_method_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Node, "start_monitor")
    with runtime._without_unused():
        assert not hasattr(Node, "start_monitor")
    assert not hasattr(Node, "start_monitor")


def test_what_takes_long_is_told_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(runtime, "PROGRESS_S", 0.001)
    with runtime._telling("starting Ray"):
        wait_until(lambda: len(caplog.messages) > 1, 30, "a second line")
    assert set(caplog.messages) == {"still starting Ray"}
