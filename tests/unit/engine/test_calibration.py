"""How the budget is found: the policy alone, and with a device that is as fast, and has as much memory, as we say."""

from collections.abc import Callable

import pytest
import torch

from tests.unit.engine.test_predictor import DESCRIPTION, FakeBackend
from workers.engine import predictor as under_test
from workers.engine.batcher import PaddedBatch
from workers.engine.calibration import MOST_MEMORY, Trial, find_budget
from workers.engine.predictor import Predictor


def found(rates: dict[int, float | None], memory: Callable[[int], float] = lambda budget: 0.0, **limits: int) -> int:
    def attempt(budget: int) -> Trial | None:
        rate = rates[budget]
        return None if rate is None else Trial(rate, memory(budget))

    in_time = iter([True] * limits.get("trials", 99) + [False] * 99)
    return find_budget(attempt, 1_024, 64, limits.get("most", 65_536), lambda: next(in_time))


def test_it_doubles_while_that_gains() -> None:
    assert found({1_024: 100, 2_048: 150, 4_096: 160, 8_192: 167}) == 4_096
    assert found({1_024: 100, 2_048: 104}) == 1_024
    assert found({1_024: 100, 2_048: 90}) == 1_024


def test_it_stays_within_limit_memory_and_time() -> None:
    faster: dict[int, float | None] = {1_024 << i: 100.0 * 2**i for i in range(7)}
    assert found(faster) == 65_536
    assert found(faster, most=10_000) == 8_192
    assert found(faster, memory=lambda budget: budget / 1_024 * MOST_MEMORY / 8) == 8_192
    assert found(faster, trials=2) == 4_096


def test_without_memory_it_takes_what_fits() -> None:
    assert found({1_024: 100, 2_048: None}) == 1_024
    assert found({1_024: None, 512: None, 256: 10}) == 256
    assert found({1_024: None, **dict.fromkeys((512, 256, 128, 64))}) == 64


class Card(FakeBackend):
    """A GPU by name, on which a budget of more than `fits` slots does not fit."""

    device_type = "cuda"

    def __init__(self, fits: int) -> None:
        super().__init__(lambda batch: torch.OutOfMemoryError("x") if batch.ids.size > fits else None)
        self.used = 0

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        self.used = max(self.used, batch.ids.size)
        return super().logits(batch)

    def memory(self) -> dict[str, int]:
        return {"used": 0, "reserved": self.used, "total": 100_000}


def clock_of(monkeypatch: pytest.MonkeyPatch, backend: FakeBackend, seconds: Callable[[int], float]) -> None:
    """Time passes in forwards alone, `seconds` for so many slots."""
    now, plain = [0.0], backend.logits

    def logits(batch: PaddedBatch) -> torch.Tensor:
        now[0] += seconds(batch.ids.size)
        return plain(batch)

    monkeypatch.setattr(backend, "logits", logits)
    monkeypatch.setattr(under_test.time, "perf_counter", lambda: now[0])


@pytest.mark.parametrize(
    ("fits", "launch_s", "expected"),
    [
        (10**9, 0.0, 4_096),  # as fast with little as with much
        (10**9, 0.004, 32_768),  # to fill it is worth it, up to 40% of its memory
        (20_000, 0.004, 16_384),  # out of memory
        (1_000, 0.004, 1_024),  # 31 texts of 32 tokens
    ],
)
def test_a_card_is_tried_at_the_start(
    monkeypatch: pytest.MonkeyPatch, fits: int, launch_s: float, expected: int
) -> None:
    backend = Card(fits)
    clock_of(monkeypatch, backend, lambda slots: launch_s + slots * 1e-7)
    predictor = Predictor(DESCRIPTION, backend)
    predictor.warm_up()
    assert predictor.max_batch_tokens == expected
    assert backend.freed > 0


def test_a_budget_that_is_set_and_a_cpu_are_left_alone() -> None:
    backend = Card(10**9)
    predictor = Predictor(DESCRIPTION, backend, 512)
    predictor.warm_up()
    assert predictor.max_batch_tokens == 512
    assert max(count * width for count, width in backend.shapes) <= 512
    on_cpu = Predictor(DESCRIPTION, FakeBackend())
    on_cpu.warm_up()
    assert on_cpu.max_batch_tokens == under_test.DEFAULT_BATCH_TOKENS["cpu"]
