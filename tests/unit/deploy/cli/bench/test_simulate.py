"""`labelstream simulate`: its inputs and its output."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.bench import simulate as module
from labelstream.deploy.simulate import compare
from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.compare import KEDA, OURS, Goal, Row
from labelstream.workers.errors import ConfigError
from tests.unit.deploy.cli.conftest import Run, fails

DAY = "seconds,messages\n0,6000000\n60,6000\n120,6000\n"


@pytest.fixture
def day(tmp_path: Path) -> str:
    (tmp_path / "day.csv").write_text(DAY)
    return str(tmp_path / "day.csv")


def test_trace_is_simulated_under_each_policy(run: Run, day: str, tmp_path: Path) -> None:
    figures, picture = tmp_path / "figures.json", tmp_path / "day.png"
    ended = run("simulate", day, "--partitions", "4", "--json", str(figures), "--plot", str(picture))
    assert ended.code == 0
    assert ended.out.splitlines()[0] == (
        "assumed: 4 partitions, 1000 messages/s a replica, 10000 a worker; 150 s until a node is ready, 40 s to load "
        "the model"
    )
    found = json.loads(figures.read_text())
    assert list(found) == [OURS, compare.SERVE, KEDA]
    for way in found.values():
        assert way["gpu_hours"] >= way["least_gpu_hours"] > 0
        assert way["peak_lag"] > 0
    assert "minimum without idle replicas: " in ended.out
    assert picture.stat().st_size > 0


def test_wrong_trace_is_named(run: Run, tmp_path: Path) -> None:
    fails(run("simulate", str(tmp_path / "none.csv")), 2, "none.csv: cannot be read")


def test_bars_are_the_maxima_of_each_part() -> None:
    import numpy as np

    assert module._bars(np.array([0, 4, 8]), 8) == " ▄█"
    assert module._bars(np.zeros(3), 0) == "   "
    assert len(module._bars(np.arange(10_000), 9_999)) == module.WIDTH


def test_goals_and_bounds_come_from_the_config(write_config: Callable[..., str]) -> None:
    old = "model: sentiment}"
    path = write_config(
        old, "model: sentiment, target_drain_s: 60, max_lag_s: 5, workers: {min: 1, max: 3}, max_in_flight: 2}"
    )
    goal, cluster = module._from_config(Path(path), None, Cluster(replica_per_s=7))
    assert (goal.target_drain_s, goal.max_lag_s, goal.min_replicas) == (60, 5, 1)
    assert (cluster.max_workers, cluster.calls, cluster.replica_per_s) == (3, 2, 7)
    assert module._from_config(None, None, Cluster()) == (Goal(), Cluster())


def test_unknown_pipeline_is_refused(write_config: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match="--pipeline: names no pipeline of the config; give one of feedback"):
        module._from_config(Path(write_config()), "other", Cluster())


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[Any]]:
    """rows(0.5): another policy has this score, Labelstream's has 1. The list records the seeds."""

    def be(other: float) -> list[Any]:
        asked: list[Any] = []
        found = [Row(way, "s", "t", 1, cost, 0.0, 1.0, 0.0, 2.0, 3) for way, cost in ((OURS, 1.0), (KEDA, other))]
        monkeypatch.setattr(compare, "compare", lambda seeds, cluster, goal: asked.extend(seeds) or found)
        return asked

    return be


def test_better_other_policy_exits_with_1(run: Run, rows: Callable[[float], list[Any]]) -> None:
    assert rows(2.0) == []
    assert run("simulate", "--seeds", "1, 2").code == 0
    asked = rows(0.5)
    ended = run("simulate", "--seeds", "1,2")
    assert ended.code == 1
    assert asked == [1, 2]
    assert "more than 10% behind the best: t, seed 1: 1.00, best 0.50 by KEDA lag, s" in ended.out
    assert "another policy with one setting is better" in ended.err


def test_invalid_seeds_are_refused(run: Run) -> None:
    fails(run("simulate", "--seeds", "one"), 2, "--seeds: 'one' is not a list of numbers")
