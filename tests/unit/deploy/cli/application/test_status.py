"""`labelstream status`: its output, its exit code, and how long it waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from labelstream.deploy.cli.application import status as look
from labelstream.deploy.cli.main import main
from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.application import control_client
from labelstream.workers.errors import StartError
from labelstream.workers.stream.report import ALARMS_PAGE
from tests.support.reports import pipeline_report

RUNNING = pipeline_report(results_out=5)


def status_of(*workers: dict[str, Any]) -> dict[str, Any]:
    return {"pipelines": {"p": {f"r{i}": worker for i, worker in enumerate(workers)}}, "models": {"m": {}}}


@pytest.fixture
def control_plane(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """control_plane(*answers): the answers in turn, the last one for ever; an exception is raised."""

    @contextmanager
    def joined(address: str) -> Iterator[None]:
        yield

    def play(*answers: Any) -> list[Any]:
        left = list(answers)

        def status() -> dict[str, Any]:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(runtime, "joined", joined)
        monkeypatch.setattr(control_client, "status", status)
        monkeypatch.setattr(look, "AGAIN_S", 0.01)
        return left

    return play


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["status", "--address", "h:1", *arguments])
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("workers", "code", "told"),
    [
        ([RUNNING], 0, "r0 on n1, process 7"),
        ([], 1, "no worker reports"),
        ([RUNNING, {**RUNNING, "age_s": 83.0}], 1, "r1 on n1, process 7, last report 83 s ago"),
        ([{**RUNNING, "state": "restarting"}], 1, "its workers are restarting"),
        ([{**RUNNING, "alarms": ["paused: too many"]}], 1, "alarm: paused"),
        ([{**RUNNING, "alarms": ["paused: too many"]}], 1, f"what each alarm means: {ALARMS_PAGE}"),
    ],
    ids=["well", "nobody", "silent", "restarting", "alarm", "alarms' page"],
)
def test_status_exits_with_1_on_a_problem(
    control_plane: Callable[..., list[Any]],
    capsys: pytest.CaptureFixture[str],
    workers: list[Any],
    code: int,
    told: str,
) -> None:
    control_plane(status_of(*workers))
    assert exit_code() == code
    assert told in capsys.readouterr().out


def test_status_waits_until_application_is_healthy(control_plane: Callable[..., list[Any]]) -> None:
    left = control_plane(StartError("no application"), status_of(), status_of(), status_of(RUNNING))
    assert exit_code("--wait", "1m") == 0
    assert len(left) == 1


def test_status_waits_until_every_worker_runs(
    control_plane: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    half = status_of(RUNNING, {**RUNNING, "state": "starting"})
    left = control_plane(half, half, status_of(RUNNING, RUNNING))
    assert exit_code("--wait", "1m") == 0
    assert len(left) == 1
    control_plane(half)
    assert exit_code("--wait", "0.05") == 1
    assert exit_code() == 0, "a new worker is no problem"
    assert "1 running, 1 starting, 2 workers" in capsys.readouterr().out


def test_status_stops_waiting_after_the_limit(
    control_plane: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    control_plane(StartError("no application"))
    assert exit_code("--wait", "0.05") == 1
    assert "no application" in capsys.readouterr().err


def test_dead_worker_is_named(control_plane: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    control_plane(status_of(RUNNING, RUNNING) | {"replicas": {"pipeline-p": ["r1"]}})
    assert exit_code() == 0
    shown = capsys.readouterr().out
    assert "pipeline p: r0 on n1, process 7, dead\n" in shown
    assert "pipeline p: r1 on n1, process 7\n" in shown


def test_status_asks_a_healthy_application_once(
    control_plane: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    left = control_plane(status_of(RUNNING), status_of(), status_of())
    assert exit_code("--wait", "1m") == 0
    assert len(left) == 2
