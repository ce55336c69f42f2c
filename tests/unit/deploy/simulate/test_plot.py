"""The plots of simulations."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelstream.deploy.simulate import plot
from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.compare import KEDA, OURS, Row
from labelstream.deploy.simulate.traces import Trace
from labelstream.deploy.simulate.world import run
from labelstream.workers.errors import StartError

PNG = b"\x89PNG"


class Fixed:
    def decide(self, view: object) -> tuple[int, int]:
        return 2, 1


def test_trace_is_plotted_under_each_policy(tmp_path: Path) -> None:
    trace = Trace("day", 1.0, np.full((20, 2), 300), np.zeros(20, bool))
    outcomes = {way: run(trace, Cluster(), Fixed(), 30) for way in (OURS, KEDA)}
    plot.over_time(trace, outcomes, tmp_path / "day.png")
    assert (tmp_path / "day.png").read_bytes().startswith(PNG)
    assert plot.pyplot().get_fignums() == [], "nothing is kept"


def test_settings_are_plotted_as_points(tmp_path: Path) -> None:
    rows = [Row(way, "s", "t", 1, 1.5, late, 1.0, 0.0, 0.0, 0) for way in (OURS, KEDA) for late in (0.0, 2.0)]
    plot.pareto(rows, tmp_path / "points.png")
    assert (tmp_path / "points.png").read_bytes().startswith(PNG)


def test_missing_matplotlib_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(StartError, match=r"pip install matplotlib"):
        plot.pyplot()
