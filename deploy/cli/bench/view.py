"""The output of the benchmarks: a table, the ratios, and the bottleneck."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelstream.deploy.cli.common.console import out

_COLUMNS = ("way", "texts/s", "batches", "padding", "MFU", "CPU us", "p50 ms", "p99 ms")


def show(figures: Mapping[str, Any], latency: str) -> None:
    """`latency`: what the columns p50 and p99 measure."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    texts = figures["texts"]
    title = f"{figures['hardware']}; {texts['count']} texts, {texts['mean_tokens']} tokens on average"
    # In a terminal of 80 columns only the names of the ways are wrapped; no figure is cut.
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, no_wrap=name != "way", justify="left" if name in ("way", "batches") else "right")
    for way in figures["ways"]:
        table.add_row(*_cells(way))
    console = out()
    console.print(table)
    console.print(f"CPU: per message; p50 and p99: latency of {latency}")
    for name, ratio in figures["ratios"].items():
        console.print(f"{name}: {ratio:.2f}")


def show_dtype(figures: Mapping[str, Any], wanted: str) -> None:
    """Print the chosen dtype. `figures`: of the measured way. `wanted`: the option --dtype."""
    if wanted == "auto":
        out().print(f"dtype auto is {figures['dtype']}: {figures['dtype_why']}")


def show_limit(figures: Mapping[str, Any]) -> None:
    out().print(f"bottleneck: {figures['limit']}")


def show_stream(figures: Mapping[str, Any]) -> None:
    """Print the figures of a stream that are not in the table."""
    console, worker, light = out(), figures["worker"], figures["latency"]["light"]
    over, inside, stages = light["over_forward_ms"], light["worker_over_forward_ms"], light["stages_ms"]
    console.print(
        f"worker with a model that takes no time: {worker['cpu_us_per_message']:.1f} us of CPU per message "
        f"(worker {worker['own_cpu_us_per_message']:.1f}, kafka-python "
        f"{worker['kafka_python_us_per_message']:.1f}); "
        f"{worker['messages_per_s_with_null_model']:.0f} messages/s"
    )
    console.print(
        f"single message: p50 {light['way_ms']['p50']:.1f} ms, of which the forward takes "
        f"{light['forward_ms']['p50']:.1f}; without the forward p50 {over['p50']:.1f}, p99 {over['p99']:.1f} ms"
    )
    parts = ", ".join(f"{name} {found['p50']:.1f}" for name, found in stages.items())
    console.print(
        f"in the worker, from the poll to the acknowledgement, without the forward: p50 {inside['p50']:.1f}, "
        f"p99 {inside['p99']:.1f} ms (p50 of each stage, with the forward: {parts})"
    )
    for point in figures["latency"].get("load", ()):
        latency = point["latency_ms"]
        if latency:
            console.print(
                f"offered {point['share']:>4.0%}: {point['results_per_s']:>9.1f} results/s, "
                f"p50 {latency['p50']:>9.1f} ms, p99 {latency['p99']:>9.1f} ms"
            )
    if figures["broker"] == "in-memory":
        console.print(
            "The broker was in memory, in this process. An empty fetch waits there until its timeout, so "
            "latencies say little. The broker keeps 4 MB a partition, so fewer messages were in flight. Measure "
            "on a Kafka broker with --bootstrap."
        )
    if figures["stream"]["dead_letters"]:
        console.print(f"{figures['stream']['dead_letters']} messages became dead letters")


def write(figures: Mapping[str, Any], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _cells(way: Mapping[str, Any]) -> list[str]:
    latency = way.get("latency_ms", {})
    return [
        way["way"],
        f"{way['texts_per_s']:.1f}",
        way["batches"],
        *(f"{way[key]:.1%}" if key in way else "" for key in ("padding_waste",)),
        f"{way['mfu']:.2f}" if "mfu" in way else "",
        f"{way['cpu_us_per_message']:.0f}",
        *(f"{latency[key]:.1f}" if key in latency else "" for key in ("p50", "p99")),
    ]
