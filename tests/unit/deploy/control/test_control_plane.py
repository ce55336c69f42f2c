"""The control plane: reports, notes of what runs, and commands to workers."""

import asyncio
from typing import Any

import pytest

from labelstream.deploy.control import control_plane as board_module
from labelstream.deploy.control.control_plane import ControlPlane
from tests.support.command_answers import done


def test_the_board_shows_the_latest_and_forgets_the_silent() -> None:
    now = [100.0]
    board: Any = ControlPlane({}, clock=lambda: now[0])

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


def test_samples_are_for_the_page_only() -> None:
    now = [100.0]
    board: Any = ControlPlane({}, clock=lambda: now[0])

    async def play() -> None:
        await board.report("pipelines", "p", "r1", {"recent": [{"at": 3.0}, {"at": 9.0}]})
        await board.report("pipelines", "p", "r2", {"recent": [{"at": 5.0}]})
        assert "recent" not in str(await board.status())
        assert (await board.page_status())["recent"] == {"p": [{"at": 3.0}, {"at": 5.0}, {"at": 9.0}]}
        now[0] += 59
        await board.report("pipelines", "p", "r2", {})
        now[0] += 2
        assert (await board.page_status())["recent"] == {"p": [{"at": 5.0}]}

    asyncio.run(play())


def test_report_of_the_gateway_is_shown() -> None:
    board: Any = ControlPlane({}, clock=lambda: 100.0)

    async def play() -> None:
        told = await board.report("gateway", "gateway", "r1", {"in_flight": 1})
        assert told.commands == []
        assert (await board.status())["gateway"] == {"gateway": {"r1": {"age_s": 0.0, "in_flight": 1}}}

    asyncio.run(play())


def test_totals_of_workers_that_ended_are_kept() -> None:
    now = [100.0]
    board: Any = ControlPlane({}, clock=lambda: now[0])
    counts = {"results_out": 7, "skipped_by_reason": {}, "dead_letters": {"empty_text": 1}}

    async def play() -> None:
        await board.report("pipelines", "p", "r1", {**counts, "lag": 3})
        await board.report("models", "m", "r2", {"calls": 1})
        assert "ended" not in await board.status()
        now[0] += 61
        assert (await board.status())["ended"] == {"p": [counts]}
        await board.report("pipelines", "p", "r1", {**counts, "lag": 3})
        assert "ended" not in await board.status(), "it was only silent"

    asyncio.run(play())


def test_status_has_earlier_counters_for_rates() -> None:
    now = [100.0]
    board: Any = ControlPlane({}, clock=lambda: now[0])

    async def play() -> list[Any]:
        found = []
        for count in range(6):
            await board.report("pipelines", "p", "r1", {"messages_in": count, "results_out": 2 * count, "lag": 3})
            found.append((await board.status())["pipelines"]["p"]["r1"].get("before"))
            now[0] += 1
        return found

    first, *_, last = asyncio.run(play())
    assert first is None
    assert last == {"age_s": 3.0, "messages_in": 2, "results_out": 4}


def test_owner_of_the_latest_deployment_is_shown() -> None:
    board: Any = ControlPlane({})

    async def play() -> None:
        assert await board.deployed() is None
        assert "owner" not in await board.status()
        for name in ("first", "second"):
            user_config = {"owner": {"id": name}, "config": {}, "drain_timeout_s": 30.0}
            board.reconfigure(user_config)
            assert await board.deployed() == user_config
            assert (await board.status())["owner"] == {"id": name}

    asyncio.run(play())


def test_the_board_keeps_the_notes_of_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "MAX_NOTES", 3)
    now = [100.0]
    board: Any = ControlPlane({}, clock=lambda: now[0])

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


def test_report_returns_target_calls_and_report_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_module, "MAX_REPORTS_PER_S", 4)
    now = [100.0]
    board: Any = ControlPlane({"p": None}, clock=lambda: now[0])
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
        self.board: Any = ControlPlane({"p": None, "q": None}, clock=lambda: self.now)

    async def report(self, replica: str, answers: Any = None, name: str = "p") -> list[dict[str, Any]]:
        return (await self.board.report("pipelines", name, replica, {}, answers)).commands

    async def give(self, pipeline: str = "p", timeout_s: float = 30) -> Any:
        task = asyncio.create_task(self.board.command(pipeline, {"name": "resume"}, timeout_s))
        await asyncio.sleep(0)
        return task


def test_command_reaches_every_worker_until_answered() -> None:
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
