"""The bfloat16 trial alternates runs, takes the fastest of each, and leaves no trace."""

from collections.abc import Callable

import pytest
import torch

from labelstream.workers.engine.loading import dtype_trial


class CallState:
    """Runs that take the given times on a fake clock. The first run, which warms up, is very slow."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, ""

    def runs(self, name: str, seconds: Callable[[int], float]) -> dtype_trial.Run:
        def run() -> None:
            turn = self.order.count(name)
            self.order += name
            self.now += seconds(turn - 1) if turn else 100.0

        return run


def test_speedup_alternates_and_takes_the_fastest() -> None:
    work = CallState()
    base = work.runs("a", lambda turn: 4.0 if turn == 7 else 50.0)
    other = work.runs("b", lambda turn: 2.0 + turn)
    assert dtype_trial.speedup(base, other, clock=lambda: work.now) == pytest.approx(2.0)
    assert work.order == "ab" * (len(work.order) // 2)


def test_speedup_of_a_slower_run_is_below_one() -> None:
    work = CallState()
    base, other = work.runs("a", lambda turn: 2.0), work.runs("b", lambda turn: 3.0)
    assert dtype_trial.speedup(base, other, clock=lambda: work.now) == pytest.approx(2 / 3)


def test_trial_runs_once_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def speedup(base: dtype_trial.Run, other: dtype_trial.Run, *, clock: Callable[[], float]) -> float:
        made.append(torch.get_num_threads())
        assert (base() - other()).abs().max() < 0.02 * base().abs().max()  # type: ignore[operator, attr-defined]
        return 2.5

    monkeypatch.setattr(dtype_trial, "speedup", speedup)
    before, random = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    dtype_trial.bfloat16_speedup.cache_clear()
    try:
        assert [dtype_trial.bfloat16_speedup(), dtype_trial.bfloat16_speedup()] == [2.5, 2.5]
        assert (made, torch.get_num_threads()) == ([1], 2)
    finally:
        dtype_trial.bfloat16_speedup.cache_clear()
        torch.set_num_threads(before)
    assert torch.equal(torch.get_rng_state(), random)
