"""Compares Labelstream's policy, with its one setting, with many settings of other policies, over many traces."""

import itertools
import statistics
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

from labelstream.deploy.deployments.usable_cores import usable_cores
from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.outcome import Outcome
from labelstream.deploy.simulate.scalers import KedaLag, KedaSetting, Ours, ServeDefault, ServeSetting
from labelstream.deploy.simulate.traces import Trace, shipped
from labelstream.deploy.simulate.view import Scaler
from labelstream.deploy.simulate.world import run

OURS, SERVE, KEDA = "labelstream", "Ray Serve", "KEDA lag"
# Each grid reaches from the documentation's defaults to what these traces need.
SERVE_GRID = [
    ServeSetting(*values) for values in itertools.product((0.5, 0.8, 1.0, 2.0), (0.0, 30.0), (60.0, 150.0, 600.0))
]
KEDA_GRID = [
    KedaSetting(*values)
    for values in itertools.product((700, 850, 1_000, 1_500, 3_000, 5_000), (5.0, 30.0), (60.0, 300.0))
]


class Goal(NamedTuple):
    target_drain_s: float = 120.0
    max_lag_s: float = 30.0
    min_replicas: int = 1


class Row(NamedTuple):
    """One policy with one setting on one trace. `cost`: GPU-hours / minimum without idle replicas.

    `late`: mean lateness beyond `max_lag_s`, divided by `max_lag_s`. `score`: `cost` + `late`.
    """

    way: str
    setting: str
    trace: str
    seed: int
    cost: float
    late: float
    gpu_hours: float
    late_share: float
    p99_s: float
    moves: int

    @property
    def score(self) -> float:
        return self.cost + self.late


def defaults(cluster: Cluster, goal: Goal) -> dict[str, Callable[[], Scaler]]:
    """A factory for each policy with its default setting."""
    return {
        OURS: lambda: Ours(cluster, goal.target_drain_s, goal.max_lag_s, goal.min_replicas),
        SERVE: lambda: ServeDefault(cluster, ServeSetting()),
        KEDA: lambda: KedaLag(cluster, KedaSetting()),
    }


def ways(cluster: Cluster, goal: Goal) -> list[tuple[str, str, Callable[[], Scaler]]]:
    """(policy, setting, factory) for all policies and settings."""
    found = [(OURS, "default", defaults(cluster, goal)[OURS])]
    for serve in SERVE_GRID:
        found.append(
            (
                SERVE,
                f"target {serve[0]:g}, up {serve[1]:g} s, down {serve[2]:g} s",
                lambda setting=serve: ServeDefault(cluster, setting),
            )
        )
    for keda in KEDA_GRID:
        found.append(
            (
                KEDA,
                f"threshold {keda[0]}, poll {keda[1]:g} s, window {keda[2]:g} s",
                lambda setting=keda: KedaLag(cluster, setting),
            )
        )
    return found


def row(way: str, setting: str, trace: Trace, seed: int, outcome: Outcome, goal: Goal) -> Row:
    return Row(
        way,
        setting,
        trace.name,
        seed,
        outcome.gpu_hours / outcome.min_gpu_hours,
        outcome.late_s / goal.max_lag_s,
        outcome.gpu_hours,
        outcome.late_share,
        outcome.p99_s,
        outcome.moves,
    )


def compare(seeds: Iterable[int], cluster: Cluster, goal: Goal) -> list[Row]:
    """All policies with all settings on all built-in traces of these seeds, on all cores."""
    jobs = [(seed, number, cluster, goal) for seed in seeds for number in range(len(shipped()))]
    with ProcessPoolExecutor(usable_cores(), mp_context=get_context("spawn")) as pool:
        return [found for rows in pool.map(_on_one_trace, jobs) for found in rows]


def _on_one_trace(job: tuple[int, int, Cluster, Goal]) -> list[Row]:
    seed, number, cluster, goal = job
    trace = shipped(seed)[number]
    return [
        row(way, setting, trace, seed, run(trace, cluster, make(), goal.max_lag_s, seed), goal)
        for way, setting, make in ways(cluster, goal)
    ]


class Verdict(NamedTuple):
    """`best`: by policy, the setting with the lowest mean score, and its means.

    `behind`: the traces where Labelstream's score is more than 10% above the best score of any policy and setting.
    """

    best: dict[str, dict[str, Any]]
    behind: list[dict[str, Any]]
    traces: int


def judge(rows: list[Row], margin: float = 0.10) -> Verdict:
    best: dict[str, dict[str, Any]] = {}
    for (way, setting), means in means_by_setting(rows).items():
        if way not in best or means["score"] < best[way]["score"]:
            best[way] = {"setting": setting, **means}
    behind = []
    for ours in (found for found in rows if found.way == OURS):
        others = [found for found in rows if (found.trace, found.seed) == (ours.trace, ours.seed)]
        winner = min(others, key=lambda found: found.score)
        if ours.score > winner.score * (1 + margin):
            behind.append(
                {
                    "trace": ours.trace,
                    "seed": ours.seed,
                    "score": ours.score,
                    "best": winner.score,
                    "of": f"{winner.way}, {winner.setting}",
                }
            )
    return Verdict(best, behind, sum(found.way == OURS for found in rows))


def means_by_setting(rows: list[Row]) -> dict[tuple[str, str], dict[str, float]]:
    """(policy, setting) -> means of score, cost and late over all traces."""
    settings: dict[tuple[str, str], list[Row]] = {}
    for found in rows:
        settings.setdefault((found.way, found.setting), []).append(found)
    return {
        key: {name: statistics.fmean(getattr(found, name) for found in mine) for name in ("score", "cost", "late")}
        for key, mine in settings.items()
    }
