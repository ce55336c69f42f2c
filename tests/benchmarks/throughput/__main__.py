"""`python -m tests.benchmarks.throughput`: topic to topic, beside the engine alone and the textbook loop."""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from labelstream.deploy.bench.baselines.bare_kafka import bare_cpu_s
from labelstream.deploy.bench.baselines.null_model import NullReplica
from labelstream.deploy.bench.harness.application import running
from labelstream.deploy.bench.harness.load_generator import LoadGenerator, traffic
from labelstream.deploy.bench.harness.topics import group_of, settings_for, topics_of
from labelstream.deploy.bench.measures.hardware import hardware
from labelstream.deploy.bench.suites.worker_cpu import cpu_rounds
from labelstream.deploy.cluster.runtime import ray_for
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.deploy.names import Topics
from labelstream.workers.classifier import Request
from labelstream.workers.engine.engine import Engine
from labelstream.workers.settings.kafka import KafkaSettings
from tests.benchmarks.throughput import material
from tests.benchmarks.throughput.consumer_loop import ConsumerLoop
from tests.kafka import KafkaBroker

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the replica has it: the engine alone shall not be slower
PARTITIONS = 4
CPU = torch.device("cpu")
TEXTBOOK_BATCHES = (1, 8, 32)
Runs = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--rounds", type=int, default=5, help="alternating runs of each way")
    parser.add_argument("--messages", type=int, default=4_000, help="per run of our ways; the textbook gets 1/20")
    parser.add_argument("--only", choices=["throughput", "delivery", "worker"], help="this part alone")
    parser.add_argument("--null-messages", type=int, default=40_000, help="per run with a model that takes no time")
    parser.add_argument(
        "--long-messages",
        type=int,
        default=120_000,
        help="the same for the cost of exactly-once: so many that the wait for the last transaction, "
        "up to a second, hardly counts",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker() as broker:
        parts = {
            "throughput": partial(throughput, Path(folder), broker, options.rounds, options.messages),
            "delivery": partial(delivery_cost, Path(folder), broker, options.rounds, options.long_messages),
            "worker": partial(worker_cpu, Path(folder), broker, options.rounds, options.null_messages),
        }
        chosen = [options.only] if options.only else list(parts)
        figures: dict[str, Any] = {"hardware": hardware(CPU)}
        for name in chosen:
            figures |= parts[name]() if name == "throughput" else {name: parts[name]()}
    if options.only:
        print(json.dumps(figures, indent=2))
    else:
        show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def throughput(folder: Path, broker: KafkaBroker, rounds: int, count: int) -> dict[str, Any]:
    """Texts per second of each way, in alternating runs over the same texts."""
    model = str(material.make_model(folder / "base", material.BASE))
    texts = material.make_texts(count)
    broker.create_topic("textbook", 1)
    broker.create_topic("textbook-out", 1)
    few = max(64, count // 20)
    produce(broker.bootstrap, "textbook", texts[:few])
    engine = Engine.load(model)
    requests = [Request(text) for text in texts]
    textbook = ConsumerLoop(model, broker.bootstrap)

    def engine_alone() -> float:
        started = time.perf_counter()
        for first in range(0, count, 512):
            engine.classify(requests[first : first + 512])
        return count / (time.perf_counter() - started)

    with both_deliveries(broker, "base", model) as (at_least_once, exactly_once):
        ways: dict[str, Callable[[], float]] = {
            "engine alone": engine_alone,
            "topic to topic": lambda: count / at_least_once.stream(texts),
            "topic to topic, exactly once": lambda: count / exactly_once.stream(texts),
        }
        for size in TEXTBOOK_BATCHES:
            name = "textbook, one by one" if size == 1 else f"textbook, batches of {size}"
            ways[name] = lambda size=size: textbook.texts_per_s("textbook", "textbook-out", few, size)
        for way in (at_least_once, exactly_once):
            way.stream(texts)  # caches warm, as in a worker that has been running for a minute
        engine_alone()
        runs = alternate(ways, rounds)
    textbook.close()
    engine.close()
    best = max(statistics.median(values) for name, values in runs.items() if name.startswith("textbook"))
    ratios = {
        "topic to topic / engine alone": paired(runs, "topic to topic", "engine alone"),
        "topic to topic / best textbook": statistics.median(runs["topic to topic"]) / best,
        "exactly once / at least once": paired(runs, "topic to topic, exactly once", "topic to topic"),
    }
    return {"texts_per_s": summary(runs), "ratios": ratios}


def delivery_cost(folder: Path, broker: KafkaBroker, rounds: int, count: int) -> dict[str, Any]:
    """Messages per second of both deliveries with a model that takes no time, so that Kafka is the limit."""
    model = str(material.make_model(folder / "tiny", material.TINY))
    texts = list(islice(cycle(material.make_texts(20_000, seed=4)), count))
    with both_deliveries(broker, "cost", model, NullReplica) as (at_least_once, exactly_once):
        streams = {
            "at least once": partial(rate, at_least_once, texts),
            "exactly once": partial(rate, exactly_once, texts),
        }
        alternate(streams, 1)  # warms the caches
        runs = alternate(streams, rounds)
    return {"messages_per_s": summary(runs), "ratio": paired(runs, "exactly once", "at least once")}


def worker_cpu(folder: Path, broker: KafkaBroker, rounds: int, count: int) -> dict[str, Any]:
    """CPU per message of the worker's process, and of kafka-python alone moving records of the same sizes."""
    model = str(material.make_model(folder / "tiny", material.TINY))
    kafka, topics = KafkaSettings(bootstrap_servers=broker.bootstrap), make_topics(broker, "null")
    broker.create_topic("bare-out", PARTITIONS)
    settings = settings_for(kafka, {"source": model}, {"p": topics})

    def bare(turn: int, count: int) -> float:
        return bare_cpu_s(
            kafka, topics._replace(output="bare-out"), f"{group_of(topics)}.{turn}", count, way.result_bytes()
        )

    with ray_for(settings), running(settings, NullReplica), traffic(kafka, topics, paced=False) as way:
        found = cpu_rounds(way.stream, bare, material.make_texts(count, seed=3), rounds, log)
    rates = found.pop("rate")
    names = {"total": "worker, total", "bare": "kafka-python alone", "own": "worker, own part"}
    return {
        "cpu_us_per_message": summary({names[name]: values for name, values in found.items()}),
        "messages_per_s_with_null_model": statistics.median(rates),
    }


@contextmanager
def both_deliveries(
    broker: KafkaBroker, name: str, model: str, replica: type = ModelReplica
) -> Iterator[tuple[LoadGenerator, LoadGenerator]]:
    """The application with a pipeline of each kind, and their messages: at least once, and exactly once."""
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap)
    topics = {"p": make_topics(broker, name), "x": make_topics(broker, f"{name}-x")}
    settings = settings_for(kafka, {"source": model}, topics, {"x": "exactly_once"})
    with (
        ray_for(settings),
        running(settings, replica),
        traffic(kafka, topics["p"], paced=False) as at_least_once,
        traffic(kafka, topics["x"], paced=False) as exactly_once,
    ):
        yield at_least_once, exactly_once


def rate(way: LoadGenerator, texts: list[str]) -> float:
    """Messages per second from the first one's producing to the last one's result."""
    return len(texts) / way.stream(texts)


def alternate(ways: dict[str, Callable[[], float]], rounds: int) -> Runs:
    runs: Runs = {name: [] for name in ways}
    for turn in range(rounds):
        for name, way in ways.items():
            runs[name].append(way())
            log(f"round {turn + 1}/{rounds}: {name}: {runs[name][-1]:.1f} texts/s")
    return runs


def log(text: str) -> None:
    print(text, file=sys.stderr)


def paired(runs: Runs, ours_: str, theirs: str) -> float:
    return statistics.median(a / b for a, b in zip(runs[ours_], runs[theirs], strict=True))


def summary(runs: Runs) -> dict[str, dict[str, float]]:
    return {
        name: {"median": statistics.median(values), "min": min(values), "max": max(values)}
        for name, values in runs.items()
    }


def make_topics(broker: KafkaBroker, name: str) -> Topics:
    topics = topics_of(name)
    for topic in topics:
        broker.create_topic(topic, PARTITIONS)
    return topics


def produce(bootstrap: str, topic: str, texts: list[str]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    for number, text in enumerate(texts):
        producer.produce(topic, json.dumps({"id": number, "text": text}).encode(), key=str(number).encode())
    if producer.flush(60):
        raise TimeoutError("the broker does not take the messages")


def show(figures: dict[str, Any]) -> None:
    console = Console()
    console.print(figures["hardware"])
    table = Table("way", "median", "min", "max", "unit")
    rows_of = {
        "texts/s": figures["texts_per_s"],
        "messages/s, null model": figures["delivery"]["messages_per_s"],
        "us CPU/message": figures["worker"]["cpu_us_per_message"],
    }
    for unit, rows in rows_of.items():
        for name, row in rows.items():
            table.add_row(name, *(f"{row[key]:.1f}" for key in ("median", "min", "max")), unit)
    console.print(table)
    for name, value in figures["ratios"].items():
        console.print(f"{name}: {value:.2f}")
    console.print(f"with a null model, exactly once / at least once: {figures['delivery']['ratio']:.2f}")
    console.print(f"with a null model: {figures['worker']['messages_per_s_with_null_model']:.0f} messages/s")


if __name__ == "__main__":
    main()
