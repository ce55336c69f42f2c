"""`python -m tests.bench [--json FILE] [--rounds N]`: topic to topic beside the engine alone and the textbook loop."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from tests.bench import material, ours
from tests.bench.textbook import Textbook
from tests.kafka import KafkaBroker
from workers.classifier import Request
from workers.engine.engine import Engine

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the replica has it: the engine alone shall not be slower
PARTITIONS = 4
SETTLE_S = 2.5
TEXTBOOK_BATCHES = (1, 8, 32)
Runs = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--rounds", type=int, default=5, help="alternating runs of each way")
    parser.add_argument("--messages", type=int, default=4_000, help="per run of our ways; the textbook gets 1/20")
    parser.add_argument("--null-messages", type=int, default=40_000, help="per run with a model that takes no time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker() as broker:
        figures = {
            "hardware": hardware(),
            **throughput(Path(folder), broker, options.rounds, options.messages),
            "worker": worker_cpu(Path(folder), broker, options.rounds, options.null_messages),
        }
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def throughput(folder: Path, broker: KafkaBroker, rounds: int, count: int) -> dict[str, Any]:
    """Texts per second of each way, in alternating runs over the same texts."""
    model = str(material.make_model(folder / "base", material.BASE))
    texts = material.make_texts(count)
    topics = make_topics(broker, "base")
    broker.create_topic("textbook", 1)
    broker.create_topic("textbook-out", 1)
    few = max(64, count // 20)
    produce(broker.bootstrap, "textbook", texts[:few])
    settings = ours.settings_for(model, broker.bootstrap, topics)
    engine = Engine.load(model)
    requests = [Request(text) for text in texts]
    finish = ours.Finish(broker.bootstrap, topics[1])
    textbook = Textbook(model, broker.bootstrap)

    def engine_alone() -> float:
        started = time.perf_counter()
        for first in range(0, count, 512):
            engine.classify(requests[first : first + 512])
        return count / (time.perf_counter() - started)

    def topic_to_topic() -> float:
        before = finish.count()
        started = time.perf_counter()
        produce(broker.bootstrap, topics[0], texts)
        finish.wait(before + count)
        return count / (time.perf_counter() - started)

    ways: dict[str, Callable[[], float]] = {"engine alone": engine_alone, "topic to topic": topic_to_topic}
    for size in TEXTBOOK_BATCHES:
        name = "textbook, one by one" if size == 1 else f"textbook, batches of {size}"
        ways[name] = lambda size=size: textbook.texts_per_s("textbook", "textbook-out", few, size)
    with ours.running(settings):
        topic_to_topic()  # caches warm, as in a worker that has been running for a minute
        engine_alone()
        runs = alternate(ways, rounds)
    finish.close()
    textbook.close()
    engine.close()
    best = max(statistics.median(values) for name, values in runs.items() if name.startswith("textbook"))
    ratios = {
        "topic to topic / engine alone": paired(runs, "topic to topic", "engine alone"),
        "topic to topic / best textbook": statistics.median(runs["topic to topic"]) / best,
    }
    return {"texts_per_s": summary(runs), "ratios": ratios}


def worker_cpu(folder: Path, broker: KafkaBroker, rounds: int, count: int) -> dict[str, Any]:
    """CPU per message of the worker's process, and of kafka-python alone moving records of the same sizes."""
    model = str(material.make_model(folder / "tiny", material.TINY))
    texts = material.make_texts(count, seed=3)
    topics = make_topics(broker, "null")
    broker.create_topic("bare-out", PARTITIONS)
    finish = ours.Finish(broker.bootstrap, topics[1])
    runs: Runs = defaultdict(list)
    with ours.running(ours.settings_for(model, broker.bootstrap, topics), null=True):
        for turn in range(rounds + 1):
            idle = -settled_cpu()
            before, seen = settled_cpu(), finish.count()
            idle += before
            started = time.perf_counter()
            produce(broker.bootstrap, topics[0], texts)
            finish.wait(seen + count)
            elapsed = time.perf_counter() - started
            spent = settled_cpu() - before - idle
            bare = subprocess.run(
                [sys.executable, "-m", "tests.bench.bare", broker.bootstrap, topics[0], "bare-out", str(count), "460"],
                check=True, capture_output=True, text=True)
            if turn:  # the first one warms the caches
                runs["worker, total"].append(spent / count * 1e6)
                runs["kafka-python alone"].append(float(bare.stdout) / count * 1e6)
                runs["worker, own part"].append((spent - float(bare.stdout)) / count * 1e6)
                runs["messages_per_s"].append(count / elapsed)
    finish.close()
    rate = runs.pop("messages_per_s")
    return {"cpu_us_per_message": summary(runs), "messages_per_s_with_null_model": statistics.median(rate)}


def settled_cpu() -> float:
    """The worker's CPU seconds, once it has come to rest and reported; takes SETTLE_S."""
    time.sleep(SETTLE_S)
    return ours.worker_stats()["cpu_s"]


def alternate(ways: dict[str, Callable[[], float]], rounds: int) -> Runs:
    runs: Runs = {name: [] for name in ways}
    for turn in range(rounds):
        for name, way in ways.items():
            runs[name].append(way())
            print(f"round {turn + 1}/{rounds}: {name}: {runs[name][-1]:.1f} texts/s", file=sys.stderr)
    return runs


def paired(runs: Runs, ours_: str, theirs: str) -> float:
    return statistics.median(a / b for a, b in zip(runs[ours_], runs[theirs], strict=True))


def summary(runs: Runs) -> dict[str, dict[str, float]]:
    return {
        name: {"median": statistics.median(values), "min": min(values), "max": max(values)}
        for name, values in runs.items()
    }


def make_topics(broker: KafkaBroker, name: str) -> tuple[str, str, str]:
    topics = (f"{name}-in", f"{name}-out", f"{name}-dlq")
    for topic in topics:
        broker.create_topic(topic, PARTITIONS)
    return topics


def produce(bootstrap: str, topic: str, texts: list[str]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    for number, text in enumerate(texts):
        producer.produce(topic, json.dumps({"id": number, "text": text}).encode(), key=str(number).encode())
    if producer.flush(60):
        raise TimeoutError("the broker does not take the messages")


def hardware() -> str:
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    flags = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in info]
    return f"{os.cpu_count()} cores, {name or platform.processor()} ({', '.join(flags) or 'no bf16'})"


def show(figures: dict[str, Any]) -> None:
    console = Console()
    console.print(figures["hardware"])
    table = Table("way", "median", "min", "max", "unit")
    rows_of = {"texts/s": figures["texts_per_s"], "us CPU/message": figures["worker"]["cpu_us_per_message"]}
    for unit, rows in rows_of.items():
        for name, row in rows.items():
            table.add_row(name, *(f"{row[key]:.1f}" for key in ("median", "min", "max")), unit)
    console.print(table)
    for name, value in figures["ratios"].items():
        console.print(f"{name}: {value:.2f}")
    console.print(f"with a null model: {figures['worker']['messages_per_s_with_null_model']:.0f} messages/s")


if __name__ == "__main__":
    main()
