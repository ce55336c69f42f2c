"""Measures one point: a window of time in which the input is never empty."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from ray import serve

from labelstream.deploy.cluster.application import control_client
from labelstream.deploy.names import APP, BOARD
from tests.benchmarks.scaling import system
from tests.benchmarks.scaling.sizing import Costs
from tests.benchmarks.throughput.material import TINY, make_model, make_texts
from tests.kafka import KafkaBroker

PARTITIONS = 16
TOPICS = ("in", "out", "dead")
SETTLE_S, WINDOW_S = 8.0, 40.0
BOARD_S, REPORTERS = 8.0, 16


class Point(NamedTuple):
    """One measurement. `busy`: the share of the time that replicas ran something, of the least busy one, of all, and
    of the busiest. `cpu_us`: microseconds per message by part; `thread_us`: of the workers by thread.
    """

    replicas: int
    workers: int
    messages_per_s: float
    calls_per_s: float
    busy: tuple[float, float, float]
    cpu_us: dict[str, float]
    cores: dict[str, float]
    thread_us: dict[str, float]


class Load:
    """The topics of a measurement, with counts of their input and output."""

    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self.fixed, self.none = (make_model(folder / name, TINY) for name in ("fixed", "none"))
        self._texts = make_texts(20_000)
        self._broker = broker
        for topic in TOPICS:
            broker.create_topic(topic, PARTITIONS)
        self._producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap,
                "linger.ms": 20,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 2_000_000,
            }
        )
        self._consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "ends"})
        self.sent = 0

    def feed(self, messages: int) -> None:
        for number in range(self.sent, self.sent + messages):
            message = {"text": self._texts[number % len(self._texts)], "id": number}
            self._producer.produce(TOPICS[0], json.dumps(message), partition=number % PARTITIONS)
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
        return sum(
            self._consumer.get_watermark_offsets(TopicPartition(TOPICS[1], number), timeout=10)[1]
            for number in range(PARTITIONS)
        )


def measure(load: Load, broker: KafkaBroker, replicas: int, workers: int, per_s: float) -> Point:
    """Measure the output in a window in which the input is never empty. `per_s`: upper bound of the throughput."""
    load.feed(max(0, int(per_s * (SETTLE_S + WINDOW_S) * 1.5) + 20_000 - (load.sent - load.out())))
    time.sleep(SETTLE_S)
    before = _state(load, broker)
    time.sleep(WINDOW_S)
    after = _state(load, broker)
    if load.sent - after["out"] < per_s:
        raise RuntimeError("the topic ran empty: nothing is known of how fast it could have been")
    messages, seconds = after["out"] - before["out"], after["at"] - before["at"]
    threads = {
        name: (after["threads"][name] - before["threads"].get(name, 0.0)) / messages * 1e6 for name in after["threads"]
    }
    busy = [(after["busy_s"][replica] - before["busy_s"][replica]) / seconds for replica in before["busy_s"]]
    return Point(
        replicas,
        workers,
        round(messages / seconds, 1),
        round((after["calls"] - before["calls"]) / seconds, 2),
        (round(min(busy), 2), round(sum(busy) / len(busy), 2), round(max(busy), 2)),
        {kind: round((after["cpu"][kind] - before["cpu"][kind]) / messages * 1e6, 1) for kind in after["cpu"]},
        {kind: round((after["cpu"][kind] - before["cpu"][kind]) / seconds, 4) for kind in after["cpu"]},
        {name: round(us, 1) for name, us in sorted(threads.items(), key=lambda item: -item[1]) if us >= 0.1},
    )


def _state(load: Load, broker: KafkaBroker) -> dict[str, Any]:
    found = control_client.status()
    workers, replicas = system.fresh(found["pipelines"]["p"]), system.fresh(found["models"]["m"])
    threads: dict[str, float] = {}
    for worker in workers:
        for name, spent in worker["threads"].items():
            threads[name] = threads.get(name, 0.0) + spent
    return {
        "calls": sum(replica["calls"] for replica in replicas),
        "busy_s": {replica["replica"]: replica["busy_s"] for replica in replicas},
        "threads": threads,
        "cpu": system.cpu_by_kind(
            {worker["pid"] for worker in workers}, {replica["pid"] for replica in replicas}, broker.pids[0]
        ),
        "out": load.out(),
        "at": time.monotonic(),
    }


def points(load: Load, broker: KafkaBroker, wanted: list[tuple[int, int]], **pipeline: Any) -> list[Point]:
    measured = []
    for replicas, workers in wanted:
        system.run(system.settings_for(broker.bootstrap, TOPICS, load.fixed, replicas, workers, **pipeline))
        measured.append(measure(load, broker, replicas, workers, replicas * system.PER_REPLICA))
        print(measured[-1], file=sys.stderr)
    return measured


def board_us() -> float:
    """CPU of the control plane's process per report of a worker, without its idle load."""
    report = system.fresh(control_client.status()["pipelines"]["p"])[0]
    handle: Any = serve.get_deployment_handle(BOARD, APP).options(method_name="report", _by_reference=False)
    before, started, reports = system.cpu_by_kind(set(), set(), os.getpid())["board"], time.monotonic(), 0
    while time.monotonic() < started + BOARD_S:
        for response in [handle.remote("pipelines", "x", str(number), report) for number in range(REPORTERS)]:
            response.result(timeout_s=30)
        reports += REPORTERS
    return (system.cpu_by_kind(set(), set(), os.getpid())["board"] - before) / reports * 1e6


def costs_of(ours: list[Point], null: Point, load: Load, board: float) -> Costs:
    """CPU per message at the highest load of a worker, and per process from the difference of many and few."""
    few, many = ours[0], max(ours, key=lambda point: point.replicas + point.workers)
    controller = many.cores["controller"] - few.cores["controller"]
    return Costs(
        worker_us=null.cpu_us["workers"],
        worker_per_s=null.messages_per_s / null.workers,
        replica_us=null.cpu_us["replicas"],
        broker_us=null.cpu_us["broker"],
        in_bytes=load.bytes_per_message(TOPICS[0]),
        out_bytes=load.bytes_per_message(TOPICS[1]),
        controller_us=controller / (many.replicas + many.workers - few.replicas - few.workers) * 1e6,
        board_us=board,
    )
