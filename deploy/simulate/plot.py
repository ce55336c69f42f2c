"""Plots simulations with matplotlib, from the extra `labelstream[plots]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelstream.deploy.simulate.compare import OURS, Row, means_by_setting
from labelstream.deploy.simulate.outcome import Outcome
from labelstream.deploy.simulate.traces import Trace
from labelstream.workers.errors import StartError

PLOTS = ("lag", "age_s", "replicas", "workers")
LABELS = {"lag": "waiting messages", "age_s": "age of the oldest, s", "replicas": "replicas", "workers": "workers"}


def pyplot() -> Any:
    """matplotlib.pyplot. Raises StartError if matplotlib is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot
    except ImportError:
        raise StartError("matplotlib is missing; pip install matplotlib") from None
    return matplotlib.pyplot


def over_time(trace: Trace, outcomes: Mapping[str, Outcome], path: Path) -> None:
    """Plot one trace over time, under each policy."""
    plt = pyplot()
    figure, axes = plt.subplots(len(PLOTS) + 1, 1, figsize=(10, 11), sharex=True)
    minutes = [tick * trace.tick_s / 60 for tick in range(len(trace.arrivals))]
    axes[0].plot(minutes, trace.arrivals.sum(axis=1) / trace.tick_s, color="black")
    axes[0].set_ylabel("arrivals, messages/s")
    for axis, name in zip(axes[1:], PLOTS, strict=True):
        for way, outcome in outcomes.items():
            axis.plot(minutes, getattr(outcome, name), label=way)
        axis.set_ylabel(LABELS[name])
    axes[1].legend()
    axes[-1].set_xlabel("minutes")
    figure.suptitle(trace.name)
    _save(plt, figure, path)


def pareto(rows: list[Row], path: Path) -> None:
    """Plot mean lateness against mean cost, with a point for each setting."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(8, 6))
    points = means_by_setting(rows)
    for way in sorted({way for way, _ in points}):
        mine = [point for (of, _), point in points.items() if of == way]
        axis.scatter(
            [point["cost"] for point in mine],
            [point["late"] for point in mine],
            label=way,
            s=90 if way == OURS else 25,
            marker="*" if way == OURS else "o",
            zorder=3 if way == OURS else 2,
        )
    axis.set_xlabel("GPU-hours / minimum without idle replicas (mean over traces)")
    axis.set_ylabel("mean lateness beyond max_lag_s / max_lag_s")
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=0.1)
    axis.grid(alpha=0.3)
    axis.legend()
    _save(plt, figure, path)


def _save(plt: Any, figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
