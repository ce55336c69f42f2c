"""`python -m tests.scaling [--json FILE]`: throughput with 1 to 16 replicas, and what each part costs per message."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from confluent_kafka import Consumer, Producer, TopicPartition
from ray import serve
from ray.serve.config import RequestRouterConfig
from rich.console import Console
from rich.table import Table

import deploy.app
from deploy import runtime
from deploy.bench.engine import hardware
from deploy.board import MOST_REPORT_S, MOST_REPORTS_PER_S, REPORT_S
from deploy.names import BOARD
from tests.kafka import KafkaBroker
from tests.scaling import system
from tests.scaling.sizing import Costs, ends, size

PARTITIONS = 16
POINTS = ("1x1", "2x1", "4x1", "8x1", "16x1", "16x2", "16x4")  # replicas x workers
BESIDE = ("8x1", "16x4")
SETTLE_S, WINDOW_S = 8.0, 20.0
NULL_PER_S = 16_000  # more than one worker does
SIZES = (1, 4, 16, 64, 256, 1_000)
BOARD_S, REPORTERS = 8.0, 16
TOPICS = ("in", "out", "dead")


class Point(NamedTuple):
    """One measurement, of messages per second, and of what was used of the CPU: microseconds per message by part."""

    replicas: int
    workers: int
    messages_per_s: float
    calls_per_s: float
    worker_cores: float
    cpu_us: dict[str, float]
    cores: dict[str, float]
    thread_us: dict[str, float]


class Load:
    """The topics, what was put into them and what came out."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker
        for topic in TOPICS:
            broker.create_topic(topic, PARTITIONS)
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 20, "compression.type": "lz4",
                                   "queue.buffering.max.messages": 2_000_000})
        self._consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "ends"})
        self.sent = 0

    def feed(self, messages: int) -> None:
        for number in range(self.sent, self.sent + messages):
            self._producer.produce(TOPICS[0], json.dumps({"text": system.TEXT, "id": number}),
                                   partition=number % PARTITIONS)
            if number % 1_000 == 0:
                self._producer.poll(0)
        if self._producer.flush(60):
            raise TimeoutError("the broker does not take the messages")
        self.sent += messages

    def bytes_per_message(self, topic: str) -> float:
        """In the log, and so on the wire as well: batches stay compressed from the producer to the consumer."""
        assert self._broker.folder is not None
        logs = self._broker.folder.rglob(f"{topic}-*/*.log")
        return sum(log.stat().st_size for log in logs) / (self.sent if topic == TOPICS[0] else self.out())

    def out(self) -> int:
        return sum(self._consumer.get_watermark_offsets(TopicPartition(TOPICS[1], number), timeout=10)[1]
                   for number in range(PARTITIONS))


def measure(load: Load, broker: KafkaBroker, replicas: int, workers: int, per_s: float) -> Point:
    """What comes out in a window in which there is always something to do; `per_s`: at most so much will."""
    load.feed(max(0, int(per_s * (SETTLE_S + WINDOW_S) * 1.5) + 20_000 - (load.sent - load.out())))
    time.sleep(SETTLE_S)
    before = _state(load, broker)
    time.sleep(WINDOW_S)
    after = _state(load, broker)
    if load.sent - after["out"] < per_s:
        raise RuntimeError("the topic ran empty: nothing is known of how fast it could have been")
    messages, seconds = after["out"] - before["out"], after["at"] - before["at"]
    threads = {name: (after["threads"][name] - before["threads"].get(name, 0.0)) / messages * 1e6
               for name in after["threads"]}
    return Point(
        replicas, workers, round(messages / seconds, 1), round((after["calls"] - before["calls"]) / seconds, 2),
        round((after["cpu"]["workers"] - before["cpu"]["workers"]) / seconds, 2),
        {kind: round((after["cpu"][kind] - before["cpu"][kind]) / messages * 1e6, 1) for kind in after["cpu"]},
        {kind: round((after["cpu"][kind] - before["cpu"][kind]) / seconds, 4) for kind in after["cpu"]},
        {name: round(us, 1) for name, us in sorted(threads.items(), key=lambda item: -item[1]) if us >= 0.1},
    )  # fmt: skip


def _state(load: Load, broker: KafkaBroker) -> dict[str, Any]:
    found = runtime.status()
    workers, replicas = system.fresh(found["pipelines"]["p"]), system.fresh(found["models"]["m"])
    threads: dict[str, float] = {}
    for worker in workers:
        for name, spent in worker["threads"].items():
            threads[name] = threads.get(name, 0.0) + spent
    return {
        "calls": sum(replica["calls"] for replica in replicas),
        "threads": threads,
        "cpu": system.cpu_by_kind({worker["pid"] for worker in workers}, {replica["pid"] for replica in replicas},
                                  broker.pids[0]),
        "out": load.out(), "at": time.monotonic(),
    }  # fmt: skip


def points(load: Load, broker: KafkaBroker, wanted: list[tuple[int, int]], **pipeline: Any) -> list[Point]:
    measured = []
    for replicas, workers in wanted:
        system.run(system.settings_for(broker.bootstrap, TOPICS, replicas, workers, **pipeline))
        measured.append(measure(load, broker, replicas, workers, replicas * system.PER_REPLICA))
        print(measured[-1], file=sys.stderr)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--points", nargs="+", metavar="REPLICASxWORKERS", default=POINTS)
    parser.add_argument("--beside", nargs="*", metavar="REPLICASxWORKERS", default=BESIDE,
                        help="where Serve's own router, and four calls in flight, are measured as well")
    parser.add_argument("--per-gpu", type=float, default=10_000, help="messages/s of one GPU, for the sizing table")
    options = parser.parse_args()
    wanted, beside = ([tuple(map(int, point.split("x"))) for point in listed]
                      for listed in (options.points, options.beside))
    with KafkaBroker() as broker:
        load = Load(broker)
        with system.ray_with_replicas(system.settings_for(broker.bootstrap, TOPICS, 16, 4)):
            figures = {"ours": points(load, broker, wanted)}
            system.run(system.settings_for(broker.bootstrap, TOPICS, 1, 1, "none"))
            figures["a model that takes no time"] = [measure(load, broker, 1, 1, NULL_PER_S)]
            costs = costs_of(figures["ours"], figures["a model that takes no time"][0], load, board_us())
            if beside:
                with patch.object(deploy.app, "ROUTER", RequestRouterConfig()):
                    figures["Serve's router"] = points(load, broker, beside)
                figures["4 calls in flight"] = points(load, broker, beside, max_in_flight=4)
    show(figures)
    show_sizes(costs, options.per_gpu)
    if options.json:
        plain = {way: [point._asdict() for point in found] for way, found in figures.items()}
        options.json.write_text(json.dumps({"hardware": hardware(torch.device("cpu")), "costs": costs._asdict(),
                                            **plain}, indent=2) + "\n")


def board_us() -> float:
    """CPU of the board's process per report of a worker, beside what it does anyway."""
    report = system.fresh(runtime.status()["pipelines"]["p"])[0]
    handle: Any = serve.get_deployment_handle(BOARD, runtime.APP).options(method_name="report", _by_reference=False)
    before, started, reports = system.cpu_by_kind(set(), set(), os.getpid())["board"], time.monotonic(), 0
    while time.monotonic() < started + BOARD_S:
        for response in [handle.remote("pipelines", "x", str(number), report) for number in range(REPORTERS)]:
            response.result(timeout_s=30)
        reports += REPORTERS
    return (system.cpu_by_kind(set(), set(), os.getpid())["board"] - before) / reports * 1e6


def costs_of(ours: list[Point], null: Point, load: Load, board: float) -> Costs:
    """Per message where a worker has most to do; per process from the difference of many and few."""
    few, many = ours[0], max(ours, key=lambda point: point.replicas + point.workers)
    controller = many.cores["controller"] - few.cores["controller"]
    return Costs(
        worker_us=null.cpu_us["workers"], worker_per_s=null.messages_per_s / null.workers,
        replica_us=many.cpu_us["replicas"], broker_us=null.cpu_us["broker"],
        in_bytes=load.bytes_per_message(TOPICS[0]), out_bytes=load.bytes_per_message(TOPICS[1]),
        controller_us=controller / (many.replicas + many.workers - few.replicas - few.workers) * 1e6, board_us=board,
    )  # fmt: skip


def show_sizes(costs: Costs, per_gpu_s: float) -> None:
    table = Table("GPUs", "messages/s", "workers", "their cores", "replicas' cores", "partitions", "brokers",
                  "brokers' Gbit/s in, and out", "controller, cores", "board, cores",
                  title=f"{per_gpu_s:.0f} messages/s a GPU", title_justify="left")
    for gpus in SIZES:
        found = size(costs, gpus, per_gpu_s, report_s(gpus, costs, per_gpu_s))
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) and cell < 10 else f"{cell:.0f}" for cell in found))
    console = Console(width=160)
    console.print({name: round(value, 1) for name, value in costs._asdict().items()})
    console.print(table)
    for part, gpus in ends(costs, per_gpu_s, MOST_REPORT_S).items():
        console.print(f"{part} has a whole core to do at {gpus:.1f} GPUs")


def report_s(gpus: int, costs: Costs, per_gpu_s: float) -> float:
    """As the board says it to so many."""
    processes = gpus + gpus * per_gpu_s / costs.worker_per_s
    return min(MOST_REPORT_S, max(REPORT_S, processes / MOST_REPORTS_PER_S))


def show(figures: dict[str, list[Point]]) -> None:
    console = Console()
    table = Table("way", "replicas", "workers", "messages/s", "of linear", "calls/s", "workers' cores")
    one = figures["ours"][0]
    for way, found in figures.items():
        for point in found:
            linear = one.messages_per_s / one.replicas * point.replicas
            table.add_row(way, *(str(cell) for cell in (point.replicas, point.workers, point.messages_per_s)),
                          f"{point.messages_per_s / linear:.2f}", str(point.calls_per_s), str(point.worker_cores))
    console.print(table)


if __name__ == "__main__":
    main()
