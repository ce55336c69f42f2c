"""How long a part may take: the rule at the top of deploy/model_client/deadlines.py, on a loop whose time the test
turns."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from labelstream.deploy.model_client.call_limits import MAX_CALL_TOKENS, MAX_FAST_CALL_TOKENS
from labelstream.deploy.model_client.call_state import Part
from labelstream.deploy.model_client.deadlines import (
    FAST_S,
    FIRST_TOKENS_PER_S,
    PART_S,
    PATIENCE,
    Deadlines,
    Noted,
    SentPart,
)
from labelstream.workers.engine.ragged import RaggedSequences

TIMEOUT_S = 100.0


class TimeLoop(asyncio.SelectorEventLoop):
    """Nothing takes time but what waits for it: then the time is there at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1_000.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


async def no_replica(_: str) -> None:
    return None


def play(scene: Callable[[Deadlines], Coroutine[Any, Any, None]], noted: Noted = no_replica) -> None:
    with asyncio.Runner(loop_factory=TimeLoop) as runner:
        runner.run(scene(Deadlines(runner.get_loop(), TIMEOUT_S, noted)))


def now() -> float:
    return asyncio.get_running_loop().time()


async def part(deadlines: Deadlines, tokens: int, takes_s: float, ticket: str = "") -> float:
    """Ask for a part that is answered after `takes_s`; how long it took, or was given before it was late."""
    began = now()
    sent = SentPart(Part(np.arange(1), RaggedSequences(np.ones(1, np.int32), np.ones(1, np.int32)), tokens))
    sent.ticket = ticket
    try:
        async with deadlines.of(sent):
            await asyncio.sleep(takes_s)
            deadlines.answered(sent, began)
    except TimeoutError:
        pass
    return now() - began


def test_a_part_has_the_timeout_and_the_time_of_its_tokens() -> None:
    async def scene(deadlines: Deadlines) -> None:
        allowed_s = TIMEOUT_S + PATIENCE * 1_000 / FIRST_TOKENS_PER_S
        assert await part(deadlines, 1_000, 1e6) == pytest.approx(allowed_s)
        assert await part(deadlines, 1_000, allowed_s - 0.1) == pytest.approx(allowed_s - 0.1)

    play(scene)


def test_no_part_takes_as_long_as_a_stalled_worker() -> None:
    async def scene(deadlines: Deadlines) -> None:
        for _ in range(60):
            await part(deadlines, 1, 5.0)
        assert deadlines.allowed_s(512) == 2 * TIMEOUT_S

    play(scene)


def test_a_replica_that_had_to_start_is_no_slow_model() -> None:
    async def scene(deadlines: Deadlines) -> None:
        await part(deadlines, 7, TIMEOUT_S - 5)
        assert deadlines.tokens_per_s > 10
        began = now()
        while deadlines.tokens_per_s < 800:
            await part(deadlines, tokens := deadlines.part_tokens(), tokens / 1_600 + 0.01)
        assert now() - began < 60

    play(scene)


def test_a_slow_models_parts_are_a_few_seconds_of_its_work() -> None:
    async def scene(deadlines: Deadlines) -> None:
        for per_s in (30.0, 1_600.0):
            for _ in range(60):
                await part(deadlines, tokens := deadlines.part_tokens(), tokens / per_s)
            assert deadlines.tokens_per_s == pytest.approx(per_s, rel=0.05)
            assert deadlines.part_tokens() == pytest.approx(PART_S * per_s, rel=0.05)

    play(scene)


@pytest.mark.parametrize(
    ("per_s", "expected"),
    [
        (MAX_CALL_TOKENS / FAST_S / 2, MAX_CALL_TOKENS),
        (50_000 / FAST_S, 50_000),
        (1e8, MAX_FAST_CALL_TOKENS),
    ],
)
def test_a_fast_models_parts_are_large(per_s: float, expected: int) -> None:
    async def scene(deadlines: Deadlines) -> None:
        for _ in range(2_000):
            await part(deadlines, tokens := deadlines.part_tokens(), tokens / per_s)
        assert deadlines.part_tokens() == pytest.approx(expected, rel=0.05)

    play(scene)


def test_what_waits_behind_other_work_is_not_late() -> None:
    """Eight parts, each as long as the timeout: the last one is answered after eight times that."""

    async def scene(deadlines: Deadlines) -> None:
        took = await asyncio.gather(*[part(deadlines, 10, TIMEOUT_S * i) for i in range(1, 9)])
        assert took == pytest.approx([TIMEOUT_S * i for i in range(1, 9)])

    play(scene)


def test_a_part_that_is_overtaken_is_late() -> None:
    async def scene(deadlines: Deadlines) -> None:
        stuck = asyncio.create_task(part(deadlines, 10, 1e6))
        await asyncio.sleep(0)
        while not stuck.done():
            await part(deadlines, 1_000, 1.0)
        assert stuck.result() == pytest.approx(TIMEOUT_S, rel=0.1)

    play(scene)


def test_a_part_that_runs_by_itself_has_its_time_from_when_it_runs() -> None:
    began_at: list[float] = []

    async def noted(ticket: str) -> float | None:
        assert ticket == "a group"
        return now() - began_at[0]

    async def scene(deadlines: Deadlines) -> None:
        began_at.append(now() + TIMEOUT_S - 1)
        took_s = await part(deadlines, 10, 1e6, "a group")
        assert took_s == pytest.approx(2 * TIMEOUT_S - 1, rel=0.01)

    play(scene, noted)


def test_late_part_resets_speed_and_never_raises_it() -> None:
    async def scene(deadlines: Deadlines) -> None:
        for _ in range(200):
            await part(deadlines, 30_000, 0.01)
        assert deadlines.part_tokens() > MAX_CALL_TOKENS
        await part(deadlines, 30_000, 1e6)
        assert deadlines.tokens_per_s == FIRST_TOKENS_PER_S
        for _ in range(60):
            await part(deadlines, 30, 1.0)
        slow = deadlines.tokens_per_s
        await part(deadlines, 30, 1e6)
        assert deadlines.tokens_per_s == slow < FIRST_TOKENS_PER_S

    play(scene)
