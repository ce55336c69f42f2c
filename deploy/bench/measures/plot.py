"""Plots throughput against latency with matplotlib, from the extra `labelstream[plots]`."""

from pathlib import Path
from typing import Any

from labelstream.deploy.simulate.plot import pyplot

KINDS = (("p50", "tab:blue", "o"), ("p99", "tab:red", "s"))


def against_latency(figures: dict[str, Any], title: str, path: Path) -> None:
    """`figures`: of `labelstream.deploy.bench.suites.stream.measure`. One point per load."""
    plt = pyplot()
    load, capacity = figures["latency"]["load"], figures["stream"]["texts_per_s"]
    figure, axis = plt.subplots(figsize=(9, 6))
    rates = [point["results_per_s"] for point in load]
    for kind, color, marker in KINDS:
        axis.plot(rates, [point["latency_ms"][kind] for point in load], color=color, marker=marker, label=kind)
    for point in load:
        axis.annotate(
            f"{point['share']:.0%}",
            (point["results_per_s"], point["latency_ms"]["p50"]),
            textcoords="offset points",
            xytext=(6, -14),
            fontsize=9,
            color="tab:blue",
        )
    forward = figures["latency"]["light"]["forward_ms"]["p50"]
    axis.axhline(forward, color="gray", linestyle=":", label=f"the forward of one message, p50: {forward:.1f} ms")
    axis.axvline(capacity, color="gray", linestyle="--", label=f"all at once: {capacity:.0f} messages/s")
    axis.set_yscale("log")
    axis.set_xlim(left=0)
    axis.yaxis.set_major_formatter(plt.matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel("results per second (beside each point: the load as a share of the capacity)")
    axis.set_ylabel("ms from a message's timestamp to its result")
    axis.set_title(f"{title}\n{figures['hardware']}", fontsize=10)
    axis.grid(alpha=0.3, which="both")
    axis.legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
