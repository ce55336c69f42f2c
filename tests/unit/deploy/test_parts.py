"""The small parts: cores, limits, the control plane, errors from a deployment's message."""

import asyncio
import signal
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.schema import ApplicationStatus

from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.serve_errors import raise_own_error
from labelstream.deploy.cluster.signals import Patience, handling
from labelstream.deploy.control import control_plane as board_module
from labelstream.deploy.control.control_plane import ControlPlane
from labelstream.deploy.control.reporter import Reporter
from labelstream.deploy.deployments.usable_cores import usable_cores
from labelstream.deploy.model_client.call_limits import MAX_CALL_SEQUENCES, max_sequences
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ModelError, StartError


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_containers_quota_limits_the_cores(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    assert usable_cores(tmp_path) == (usable_cores(tmp_path / "nowhere") if expected is None else expected)


@pytest.mark.parametrize("top_k", [1, 2, 10, 1_000, 1_000_000])
def test_an_answer_stays_below_what_grpc_takes(top_k: int) -> None:
    count = max_sequences(top_k)
    assert 1 <= count <= MAX_CALL_SEQUENCES
    assert count == 1 or count * top_k * 8 <= 1_000_000


def test_the_board_shows_the_latest_and_forgets_the_silent() -> None:
    now = [100.0]
    board = ControlPlane({}, clock=lambda: now[0])

    async def play() -> None:
        await board.report("pipelines", "p", "r1", {"in": 1})
        await board.report("models", "m", "r2", {"calls": 1})
        now[0] += 5
        await board.report("pipelines", "p", "r1", {"in": 2})
        assert await board.status() == {
            "pipelines": {"p": {"r1": {"age_s": 0.0, "in": 2}}},
            "models": {"m": {"r2": {"age_s": 5.0, "calls": 1}}},
        }
        now[0] += 58
        assert await board.status() == {"pipelines": {"p": {"r1": {"age_s": 58.0, "in": 2}}}, "models": {}}

    asyncio.run(play())


def test_the_board_keeps_the_notes_of_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "MAX_NOTES", 3)
    now = [100.0]
    board = ControlPlane({}, clock=lambda: now[0])

    async def play() -> list[float | None]:
        await board.note("lives", "t1")
        await board.note("lives", None)
        await board.note("busy", "t2")
        await board.note("busy", "t3")
        for i in range(4, 6):
            await board.note(f"dead {i}", f"t{i}")
        now[0] += 5
        assert [await board.noted(f"t{i}") for i in range(1, 6)] == [None, None, 5.0, 5.0, 5.0]
        await board.note("dead 6", "t6")
        return [await board.noted(f"t{i}") for i in range(3, 7)]

    assert asyncio.run(play()) == [None, 5.0, 5.0, 0.0]


def test_our_own_error_is_found_in_a_traceback() -> None:
    message = (
        "The deployment failed to start 1 times in a row.\nTraceback (most recent call last):\n"
        '  File "x.py", line 1\nworkers.errors.ModelError: ./x: no config.json; name the folder\n\nRetrying'
    )
    with pytest.raises(ModelError, match=r"^\./x: no config\.json; name the folder$"):
        raise_own_error(message)
    with pytest.raises(StartError, match=r"^no such topic$"):
        raise_own_error("x\nworkers.errors.StartError: no such topic")
    raise_own_error("labelstream.workers.errors.InferenceError: passes by itself")
    raise_own_error("")


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


def test_one_more_signal_while_stopping_changes_nothing() -> None:
    with handling((signal.SIGTERM,), Patience()):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_a_worker_hears_how_many_calls_keep_the_replicas_busy_and_how_often_to_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_module, "MAX_REPORTS_PER_S", 4)
    now = [100.0]
    board = ControlPlane({"p": None}, clock=lambda: now[0])
    board._models_of = {"p": ("m",)}

    async def play() -> None:
        assert await board.report("pipelines", "p", "w1", {}) == ([], 4, 1.0)
        for number in range(6):
            await board.report("models", "m", f"r{number}", {})
        now[0] += 1
        assert await board.report("pipelines", "p", "w1", {}) == ([], 18, 7 / 4)
        await board.report("pipelines", "p", "w2", {})
        now[0] += 1
        assert (await board.report("pipelines", "p", "w1", {})).calls == 9
        now[0] += 20  # the others are silent
        assert await board.report("pipelines", "p", "w1", {}) == ([], 4, 1.0)

    asyncio.run(play())


class Operator:
    """A board with two workers, `r1` and `r2`, that report when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.board = ControlPlane({"p": None, "q": None}, clock=lambda: self.now)

    async def report(self, replica: str, answers: Any = None, name: str = "p") -> list[dict[str, Any]]:
        return (await self.board.report("pipelines", name, replica, {}, answers)).commands

    async def give(self, pipeline: str = "p", timeout_s: float = 30) -> Any:
        task = asyncio.create_task(self.board.command(pipeline, {"name": "resume"}, timeout_s))
        await asyncio.sleep(0)
        return task


def done(text: str) -> dict[str, str]:
    return {"status": "done", "text": text}


def test_a_command_reaches_all_workers_of_its_pipeline_until_they_have_answered() -> None:
    async def play() -> None:
        operator = Operator()
        for replica, name in (("r1", "p"), ("r2", "p"), ("r3", "q")):
            assert await operator.report(replica, name=name) == []
        task = await operator.give()
        operator.now += 1
        [command] = await operator.report("r1")
        assert (command["name"], command["timeout_s"]) == ("resume", 26.0)
        assert await operator.report("r1") == [command]  # the answer may have been lost on its way
        assert await operator.report("r3", name="q") == []
        assert (await operator.board.report("models", "p", "m1", {})).commands == []
        assert await operator.report("r1", {command["id"]: done("one"), "unknown": done("?")}) == []
        assert not task.done()
        await operator.report("r2", {command["id"]: done("two")})
        assert await task == {
            "known": ["p", "q"],
            "workers": ["r1", "r2"],
            "answers": {"r1": done("one"), "r2": done("two")},
        }
        assert await operator.report("r2") == []

    asyncio.run(play())


def test_a_command_that_nobody_answers_ends() -> None:
    async def play() -> None:
        operator = Operator()
        assert (await (await operator.give("x")))["known"] == ["p", "q"]
        assert (await (await operator.give()))["workers"] == []
        await operator.report("r1")
        await operator.report("r2")
        task = await operator.give()
        operator.now += 8
        await operator.report("r1")
        operator.now += 8  # r2 is gone
        await asyncio.sleep(0.2)
        assert not task.done()
        operator.now += 15
        assert (await task)["answers"] == {}
        assert await operator.report("r1") == []

    asyncio.run(play())


def test_a_worker_obeys_once_however_often_it_hears_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[dict[str, Any], float]] = []
    answer: Future[tuple[str, str]] = Future()

    def take(command: dict[str, Any], timeout_s: float) -> Future[tuple[str, str]]:
        taken.append((command, timeout_s))
        return answer

    context = SimpleNamespace(app_name="a", replica_id=SimpleNamespace(unique_id="r1"), deployment="pipeline-p")
    monkeypatch.setattr("labelstream.deploy.control.reporter.serve.get_replica_context", lambda: context)
    reporter = Reporter("pipelines", dict, lambda name, stats: [], interval_s=60, take=take)
    try:
        command = {"id": "1", "name": "resume", "timeout_s": 20.0}
        reporter._pass_on([command])
        reporter._pass_on([command])
        assert taken == [(command, 20.0)]
        assert reporter._answers() == {}
        answer.set_result(("done", "gone on"))
        assert reporter._answers() == {"1": done("gone on")}
        reporter._pass_on([command])  # the control plane has not seen it yet
        assert reporter._answers() == {"1": done("gone on")}
        reporter._pass_on([])
        assert reporter._answers() == {}
        assert len(taken) == 1
    finally:
        reporter.stop()
