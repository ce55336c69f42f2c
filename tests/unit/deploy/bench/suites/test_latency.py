"""The latency of single messages and under a load."""

from itertools import count
from typing import Any

import pytest

from labelstream.deploy.bench.suites import latency
from labelstream.workers.errors import StartError


class Way:
    """In place of a load generator."""

    def one(self, text: str) -> float:
        return 12.0

    def offered(self, texts: list[str], per_s: float, load_s: float, seed: int) -> tuple[list[float], float]:
        return [1.0, 2.0], per_s


def measured(monkeypatch: pytest.MonkeyPatch, results: Any, load_s: float) -> dict[str, Any]:
    """The figures while each reading of the worker has one more of `results`, and each of the model 2 ms more."""
    busy, stages = count(), count()
    monkeypatch.setattr(latency, "PAUSE_S", (0.0, 0.0))
    monkeypatch.setattr(latency, "SETTLE_S", 0.01)
    monkeypatch.setattr(latency, "model_stats", lambda: {"busy_s": next(busy) * 0.002})
    monkeypatch.setattr(
        latency,
        "worker_stats_now",
        lambda: {"results_out": next(results), "stages": {"call": {"sum": next(stages) * 0.005}}},
    )
    way: Any = Way()
    return latency.latency_figures(way, ["a"], 100.0, 2, load_s, lambda text: None)


def test_light_latency_is_divided_among_worker_and_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch, count(), 0.0)
    assert set(found) == {"light"}
    medians = {name: next(iter(found["light"][name].values())) for name in ("way_ms", "forward_ms", "worker_ms")}
    assert medians == pytest.approx({"way_ms": 12.0, "forward_ms": 2.0, "worker_ms": 5.0})


def test_each_load_is_a_share_of_the_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    load = measured(monkeypatch, count(), 1.0)["load"]
    assert [one["share"] for one in load] == list(latency.SHARES)
    assert load[0]["offered_per_s"] == 10.0


def test_result_that_the_worker_does_not_count_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartError, match="has not counted it"):
        measured(monkeypatch, iter(lambda: 0, 1), 0.0)
