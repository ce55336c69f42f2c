"""The best policy over all traces, and the traces where Labelstream's is behind."""

import numpy as np
import pytest

from labelstream.deploy.simulate import compare as module
from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.compare import (
    KEDA,
    KEDA_GRID,
    OURS,
    SERVE,
    SERVE_GRID,
    Goal,
    Row,
    defaults,
    judge,
    means_by_setting,
    ways,
)
from labelstream.deploy.simulate.scalers import KedaLag, Ours, ServeDefault
from labelstream.deploy.simulate.traces import Trace

CLUSTER, GOAL = Cluster(), Goal()


def row(way: str, setting: str, trace: str, cost: float, late: float = 0.0, seed: int = 1) -> Row:
    return Row(way, setting, trace, seed, cost, late, cost, 0.0, 0.0, 0)


def test_defaults_make_every_policy() -> None:
    made = {way: make() for way, make in defaults(CLUSTER, GOAL).items()}
    assert {way: type(one) for way, one in made.items()} == {OURS: Ours, SERVE: ServeDefault, KEDA: KedaLag}


def test_only_other_policies_have_many_settings() -> None:
    found = ways(CLUSTER, GOAL)
    assert [way for way, _, _ in found].count(OURS) == 1
    assert len(found) == 1 + len(SERVE_GRID) + len(KEDA_GRID)
    assert len({(way, setting) for way, setting, _ in found}) == len(found)
    makers = {setting: make for _, setting, make in found}
    first = makers["target 0.5, up 0 s, down 60 s"]()
    assert isinstance(first, ServeDefault)
    assert first._setting == SERVE_GRID[0], "each maker has its own setting"


def test_best_setting_has_lowest_mean_score() -> None:
    rows = [row(OURS, "default", "a", 2), row(OURS, "default", "b", 1, late=1)]
    rows += [row(KEDA, "x", "a", 1), row(KEDA, "x", "b", 9), row(KEDA, "y", "a", 4), row(KEDA, "y", "b", 2)]
    verdict = judge(rows)
    assert verdict.traces == 2
    assert verdict.best[OURS] == {"setting": "default", "score": 2, "cost": 1.5, "late": 0.5}
    assert verdict.best[KEDA] == {"setting": "y", "score": 3, "cost": 3, "late": 0}
    assert means_by_setting(rows)[KEDA, "x"]["score"] == 5


@pytest.mark.parametrize(("best", "behind"), [(1.9, False), (1.0, True)])
def test_policy_is_behind_beyond_the_margin(best: float, behind: bool) -> None:
    rows = [row(OURS, "default", "a", 2.0), row(SERVE, "x", "a", best), row(SERVE, "x", "a", 0.1, seed=2)]
    found = judge(rows).behind
    assert found == ([{"trace": "a", "seed": 1, "score": 2.0, "best": 1.0, "of": "Ray Serve, x"}] if behind else [])


def test_job_runs_all_policies_on_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, while `compare` uses one process per core."""
    traces = [Trace(name, 1.0, np.full((30, 2), 100), np.zeros(30, bool)) for name in ("one", "two")]
    monkeypatch.setattr(module, "shipped", lambda seed=1: traces)
    monkeypatch.setattr(module, "ways", lambda cluster, goal: [(w, "s", m) for w, m in defaults(cluster, goal).items()])
    rows = module._on_one_trace((5, 1, CLUSTER, GOAL))
    assert [(found.way, found.trace, found.seed) for found in rows] == [(way, "two", 5) for way in (OURS, SERVE, KEDA)]
    assert all(found.cost > 0 and found.score == found.cost + found.late for found in rows)


def test_jobs_cover_every_trace_of_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pool:
        def __init__(self, *arguments: object, **options: object) -> None:
            pass

        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        map = staticmethod(map)

    monkeypatch.setattr(module, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(module, "shipped", lambda seed=1: [None, None])
    monkeypatch.setattr(module, "_on_one_trace", lambda job: [job[:2]])
    assert module.compare([7, 8], CLUSTER, GOAL) == [(7, 0), (7, 1), (8, 0), (8, 1)]
