"""The plot of latency against load."""

from pathlib import Path

from labelstream.deploy.bench.measures.plot import against_latency


def test_plot_has_a_point_for_each_load(tmp_path: Path) -> None:
    load = [
        {"share": share, "results_per_s": 50 * share, "latency_ms": {"p50": 30 / (1.2 - share), "p99": 300.0}}
        for share in (0.1, 0.5, 1.0)
    ]
    figures = {
        "hardware": "2 cores",
        "stream": {"texts_per_s": 50.0},
        "latency": {"light": {"forward_ms": {"p50": 20.0}}, "load": load},
    }
    against_latency(figures, "a model", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
