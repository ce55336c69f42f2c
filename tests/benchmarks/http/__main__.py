"""`python -m tests.benchmarks.http`: the HTTP gateway beside textbook servers, and beside a backlog of the stream."""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from labelstream.deploy.bench.measures.hardware import hardware
from labelstream.deploy.bench.measures.timing import percentiles
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from tests.benchmarks.http import backlog
from tests.benchmarks.http.load import answer, closed_loop
from tests.benchmarks.http.system import System, Way, cpu_seconds, running_system
from tests.benchmarks.throughput.material import make_texts

SIZES = (1, 8, 32)
BODIES = 200


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.http", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--rounds", type=int, default=3, help="alternating runs of each way")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run of a server")
    parser.add_argument("--connections", type=int, default=32, help="requests in flight")
    parser.add_argument("--messages", type=int, default=4_000, help="of the stream in each run beside HTTP")
    parser.add_argument("--only", choices=["servers", "backlog"], help="this part alone")
    options = parser.parse_args()
    figures: dict[str, Any] = {"hardware": hardware(torch.device("cpu")), "load_before": os.getloadavg()[0]}
    broker = InMemoryBroker()
    with tempfile.TemporaryDirectory() as folder, running_system(Path(folder), broker.bootstrap) as system:
        if options.only != "backlog":
            figures["servers"] = servers(system, options.rounds, options.seconds, options.connections)
        if options.only != "servers":
            figures["backlog"] = backlog.measure(system, options.rounds, options.messages, say)
    broker.close()
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def servers(system: System, rounds: int, seconds: float, connections: int) -> list[dict[str, Any]]:
    """Requests/s, latency and CPU of each server by texts a request, in alternating rounds."""
    texts = make_texts(BODIES * max(SIZES))
    found: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for turn in range(rounds + 1):  # the first round warms up
        for size in SIZES:
            for way in system.ways:
                measured = _run(way, texts, size, 1.0 if turn == 0 else seconds, connections)
                if turn:
                    found[way.name, size].append(measured)
                    say(f"round {turn} of {rounds}: {way.name}, {size} texts: {measured['per_s']:.0f} requests/s")
    return [{"way": name, "texts": size, **_summary(runs)} for (name, size), runs in found.items()]


def _run(way: Way, texts: list[str], size: int, seconds: float, connections: int) -> dict[str, Any]:
    bodies = [json.dumps({way.field: texts[first : first + size]}).encode() for first in range(0, BODIES * size, size)]
    assert len(answer(way.url, bodies[0])) == size
    before = cpu_seconds(way.parts)
    loaded = closed_loop(way.url, bodies, connections, seconds)
    after, count = cpu_seconds(way.parts), len(loaded.latencies_ms)
    return {
        "per_s": loaded.per_s,
        "latencies_ms": loaded.latencies_ms,
        "cpu_ms": {
            **{part: (after[part] - before[part]) / count * 1000 for part in after},
            "client": loaded.cpu_s / count * 1000,
        },
    }


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    rates = [run["per_s"] for run in runs]
    return {
        "requests_per_s": [statistics.median(rates), min(rates), max(rates)],
        "latency_ms": percentiles([each for run in runs for each in run["latencies_ms"]]),
        "cpu_ms": {part: statistics.median(run["cpu_ms"][part] for run in runs) for part in runs[0]["cpu_ms"]},
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(figures: dict[str, Any]) -> None:
    console = Console()
    console.print(f"{figures['hardware']}, load average {figures['load_before']:.1f} at the start")
    if "servers" in figures:
        parts = ("proxy", "gateway", "model", "client")
        title = "requests/s, latency in ms, and CPU in ms a request"
        table = Table("server", "texts", "per s", "p50", "p99", *parts, title=title)
        for row in figures["servers"]:
            table.add_row(
                row["way"],
                str(row["texts"]),
                f"{row['requests_per_s'][0]:.0f}",
                *_both(row["latency_ms"]),
                *(f"{row['cpu_ms'][part]:.2f}" if part in row["cpu_ms"] else "" for part in parts),
            )
        console.print(table)
    if "backlog" in figures:
        found = figures["backlog"]
        table = Table("single texts over HTTP", "p50 ms", "p99 ms", "requests")
        table.add_row("idle replica", *_both(found["idle_ms"]), "")
        for name, latencies in found["beside_ms"].items():
            table.add_row(f"beside a backlog, {name}", *_both(latencies), str(found["requests"][name]))
        console.print(table)
        console.print(f"a full forward of the stream takes {found['full_forward_ms']:.0f} ms")
        table = Table("stream", "texts/s", "lowest to highest")
        for name, (median, lowest, highest) in found["stream_texts_per_s"].items():
            table.add_row(name, f"{median:.0f}", f"{lowest:.0f} to {highest:.0f}")
        console.print(table)
        console.print(f"stream beside HTTP with the lane / without HTTP: {found['of_stream_without_http']:.2f}")


def _both(latencies: dict[str, float]) -> tuple[str, str]:
    return f"{latencies['p50']:.0f}", f"{latencies['p99']:.0f}"


if __name__ == "__main__":
    main()
