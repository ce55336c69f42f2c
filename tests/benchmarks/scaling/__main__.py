"""`python -m tests.benchmarks.scaling [--json FILE]`: throughput by replicas, and what each part costs a message."""

import argparse
import json
import tempfile
from pathlib import Path
from unittest.mock import patch

import torch
from ray.serve.config import RequestRouterConfig
from rich.console import Console
from rich.table import Table

import labelstream.deploy.app
from labelstream.deploy.bench.measures.hardware import hardware
from labelstream.deploy.control.control_plane import report_s
from labelstream.deploy.control.reporter import MAX_REPORT_S
from tests.benchmarks.scaling import system
from tests.benchmarks.scaling.measure import TOPICS, Load, Point, board_us, costs_of, measure, points
from tests.benchmarks.scaling.sizing import Costs, PerGpu, ends, per_gpu, size
from tests.kafka import KafkaBroker

POINTS = ("1x1", "2x1", "4x1", "8x1", "16x1", "16x4")  # replicas x workers
BESIDE = ("16x1",)
NULL_PER_S = 16_000  # more messages per second than one worker processes
SIZES = (1, 4, 16, 64, 256, 1_000)


def numbers(point: str) -> tuple[int, int]:
    """Of replicas and of workers."""
    replicas, workers = map(int, point.split("x"))
    return replicas, workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--points", nargs="+", metavar="REPLICASxWORKERS", default=POINTS)
    parser.add_argument(
        "--beside",
        nargs="*",
        metavar="REPLICASxWORKERS",
        default=BESIDE,
        help="where Serve's own router, and four calls in flight, are measured as well",
    )
    parser.add_argument(
        "--per-gpu",
        type=float,
        help="messages/s of one GPU, for the sizing table; without it what "
        "was measured on a GPU, if anything was, else 10,000",
    )
    options = parser.parse_args()
    wanted, beside = ([numbers(point) for point in listed] for listed in (options.points, options.beside))
    with tempfile.TemporaryDirectory() as folder, KafkaBroker() as broker:
        load = Load(broker, Path(folder))
        with system.ray_with_replicas(system.settings_for(broker.bootstrap, TOPICS, load.fixed, 16, 4)):
            figures = {"ours": points(load, broker, wanted)}
            system.run(system.settings_for(broker.bootstrap, TOPICS, load.none, 1, 1))
            figures["a model that takes no time"] = [measure(load, broker, 1, 1, NULL_PER_S)]
            costs = costs_of(figures["ours"], figures["a model that takes no time"][0], load, board_us())
            if beside:
                with patch.object(labelstream.deploy.app, "ROUTER", RequestRouterConfig()):
                    figures["Serve's router"] = points(load, broker, beside)
                figures["4 calls in flight"] = points(load, broker, beside, max_in_flight=4)
    show(figures)
    show_sizes(costs, per_gpu(options.per_gpu))
    if options.json:
        plain = {way: [point._asdict() for point in found] for way, found in figures.items()}
        options.json.write_text(
            json.dumps({"hardware": hardware(torch.device("cpu")), "costs": costs._asdict(), **plain}, indent=2) + "\n"
        )


def show_sizes(costs: Costs, gpu: PerGpu) -> None:
    per_gpu_s = gpu.messages_per_s
    table = Table(
        "GPUs",
        "messages/s",
        "workers",
        "their cores",
        "replicas' cores",
        "partitions",
        "brokers",
        "Gbit/s in, and out",
        "controller's cores",
        "board's cores",
        title=f"{per_gpu_s:,.0f} messages/s a GPU, {gpu.source}",
        title_justify="left",
    )
    for gpus in SIZES:
        found = size(costs, gpus, per_gpu_s, report_s(round(gpus + gpus * per_gpu_s / costs.worker_per_s)))
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) and cell < 10 else f"{cell:.0f}" for cell in found))
    console = Console(width=160)
    console.print({name: round(value, 1) for name, value in costs._asdict().items()})
    console.print(table)
    for part, gpus in ends(costs, per_gpu_s, MAX_REPORT_S).items():
        console.print(f"{part} has a whole core to do at {gpus:.1f} GPUs")


def show(figures: dict[str, list[Point]]) -> None:
    console = Console(width=120)
    table = Table(
        "way", "replicas", "workers", "messages/s", "of linear", "calls/s", "busy, least to most", "workers' cores"
    )
    one = figures["ours"][0]
    for way, found in figures.items():
        for point in found:
            linear = one.messages_per_s / one.replicas * point.replicas
            table.add_row(
                way,
                *(str(cell) for cell in (point.replicas, point.workers, point.messages_per_s)),
                f"{point.messages_per_s / linear:.2f}",
                str(point.calls_per_s),
                "{:.2f} {:.2f} {:.2f}".format(*point.busy),
                f"{point.cores['workers']:.2f}",
            )
    console.print(table)


if __name__ == "__main__":
    main()
