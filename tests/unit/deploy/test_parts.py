"""The small parts: cores, limits, the board, errors from a deployment's message."""

import asyncio
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.schema import ApplicationStatus

from deploy import board as board_module
from deploy import runtime
from deploy.board import Board
from deploy.cores import usable_cores
from deploy.failures import raise_own_error
from deploy.limits import MAX_CALL_SEQUENCES, max_sequences
from deploy.signals import Patience, handling
from workers.errors import ModelError, StartError
from workers.settings import load_settings


@pytest.mark.parametrize(("files", "expected"), [
    ({"cpu.max": "50000 100000"}, 1),
    ({"cpu.max": "100000 100000"}, 1),
    ({"cpu.max": "max 100000"}, None),
    ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ({}, None),
], ids=str)  # fmt: skip
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
    board = Board({}, clock=lambda: now[0])

    async def play() -> None:
        await board.report("pipelines", "p", "r1", {"in": 1})
        await board.report("models", "m", "r2", {"calls": 1})
        now[0] += 5
        await board.report("pipelines", "p", "r1", {"in": 2})
        assert await board.status() == {
            "pipelines": {"p": {"r1": {"age_s": 0.0, "in": 2}}}, "models": {"m": {"r2": {"age_s": 5.0, "calls": 1}}},
        }  # fmt: skip
        now[0] += 58
        assert await board.status() == {"pipelines": {"p": {"r1": {"age_s": 58.0, "in": 2}}}, "models": {}}

    asyncio.run(play())


def test_the_board_keeps_the_notes_of_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "MOST_NOTES", 3)
    board = Board({})

    async def play() -> list[bool]:
        await board.note("lives", "t1")
        await board.note("lives", None)
        await board.note("busy", "t2")
        await board.note("busy", "t3")
        for i in range(4, 6):
            await board.note(f"dead {i}", f"t{i}")
        assert [await board.noted(f"t{i}") for i in range(1, 6)] == [False, False, True, True, True]
        await board.note("dead 6", "t6")
        return [await board.noted(f"t{i}") for i in range(3, 7)]

    assert asyncio.run(play()) == [False, True, True, True]


def test_our_own_error_is_found_in_a_traceback() -> None:
    message = (
        "The deployment failed to start 1 times in a row.\nTraceback (most recent call last):\n"
        '  File "x.py", line 1\nworkers.errors.ModelError: ./x: no config.json; name the folder\n\nRetrying'
    )
    with pytest.raises(ModelError, match=r"^\./x: no config\.json; name the folder$"):
        raise_own_error(message)
    with pytest.raises(StartError, match=r"^no such topic$"):
        raise_own_error("x\nworkers.errors.StartError: no such topic")
    raise_own_error("workers.errors.InferenceError: passes by itself")
    raise_own_error("")


def test_what_failed_before_the_update_is_not_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def app(state: ApplicationStatus, message: str) -> Any:
        deployment = SimpleNamespace(status=SimpleNamespace(value="UPDATING"), message=message)
        return SimpleNamespace(status=state, message="", deployments={"model-m": deployment})

    old, new = "workers.errors.ModelError: old", "workers.errors.ModelError: new"
    states = iter([app(ApplicationStatus.DEPLOYING, old), app(ApplicationStatus.RUNNING, ""),
                   app(ApplicationStatus.DEPLOYING, new)])  # fmt: skip
    monkeypatch.setattr(runtime.serve, "status", lambda: SimpleNamespace(applications={runtime.APP: next(states)}))
    shown: list[dict[str, str]] = []
    seen: dict[str, str] = {}
    assert not runtime._running(shown.append, seen, {"model-m": old})
    assert runtime._running(shown.append, seen, {"model-m": old})
    assert shown == [{"model-m": "UPDATING"}]
    with pytest.raises(ModelError, match="new"):
        runtime._running(None, seen, {"model-m": old})


def test_no_cluster_is_said_so_at_once() -> None:
    settings = load_settings({
        "kafka": {"bootstrap_servers": "localhost:1"}, "models": {"m": {"source": "x"}},
        "pipelines": {"p": {"input": "a", "output": "b", "dead_letter": "c", "model": "m"}},
    })  # fmt: skip
    with pytest.raises(StartError, match=r"no Ray cluster answers at 127\.0\.0\.1:1: "), runtime.ray_for(
        settings, "127.0.0.1:1"
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
