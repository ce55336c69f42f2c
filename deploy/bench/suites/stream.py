"""Measures topic to topic beside the engine alone, the worker's CPU per message, and the latency."""

import statistics
from dataclasses import dataclass
from functools import partial
from typing import Any

from labelstream.deploy.bench.baselines.bare_kafka import bare_cpu_s
from labelstream.deploy.bench.baselines.null_model import NullReplica
from labelstream.deploy.bench.harness.application import cpu_s, model_stats, processes, running
from labelstream.deploy.bench.harness.load_generator import LoadGenerator, traffic
from labelstream.deploy.bench.harness.topics import group_of, settings_for, topics_of
from labelstream.deploy.bench.measures.timing import median
from labelstream.deploy.bench.suites.engine import Comparison, Plan, Say, said
from labelstream.deploy.bench.suites.latency import latency_figures
from labelstream.deploy.bench.suites.worker_cpu import cpu_figures, cpu_rounds
from labelstream.deploy.cluster.runtime import ray_for
from labelstream.deploy.names import Topics
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.kafka import KafkaSettings

BUSY = 0.85  # the share of busy time that marks the bottleneck


@dataclass(frozen=True)
class StreamPlan(Plan):
    """`kafka`: a broker that has all of `topics()`. `run`: part of their names. `paced`: see `LoadGenerator`.

    `light`: the number of single messages. `load_s`: seconds of each load; 0 for no loads. `null_count`: messages for
    each measurement of the worker's CPU.
    """

    kafka: KafkaSettings = None  # type: ignore[assignment]
    run: str = ""
    paced: bool = False
    light: int = 100
    load_s: float = 0.0
    null_count: int = 20_000

    @property
    def real(self) -> Topics:
        """The topics of the stream through the model."""
        return topics_of(f"{self.run}.real")

    @property
    def null(self) -> Topics:
        """The topics of the stream through the null model."""
        return topics_of(f"{self.run}.null")

    @property
    def bare(self) -> Topics:
        """The topics of bare kafka-python."""
        return self.null._replace(output=f"{self.null.output}.bare")

    def topics(self) -> list[str]:
        """All topics that must exist."""
        return [*self.real, *self.null, self.bare.output]

    def groups(self) -> list[str]:
        """All consumer groups of the run."""
        return [*map(group_of, (self.real, self.null)), *map(self.bare_group, range(self.rounds + 1))]

    def bare_group(self, turn: int) -> str:
        return f"{group_of(self.null)}.bare-{turn}"

    def settings(self, topics: Topics) -> Settings:
        """The settings of the application with these topics."""
        model = {"source": self.source, "dtype": self.precision.name, "device": self.device, "top_k": None}
        return settings_for(self.kafka, model, {"p": topics})


def measure(plan: StreamPlan, say: Say) -> dict[str, Any]:
    """The figures from a new local Ray. All of `topics()` must exist. Raises LabelstreamError."""
    with ray_for(plan.settings(plan.real)):
        return _measure(plan, say)


def _measure(plan: StreamPlan, say: Say) -> dict[str, Any]:
    with plan.load() as engine:
        texts, many = plan.texts_for(engine.description), plan.texts_for(engine.description, plan.null_count)
        comparison = Comparison(plan, engine, texts, say)
        say("Ray runs; loading the model")
        with running(plan.settings(plan.real)), traffic(plan.kafka, plan.real, plan.paced) as way:
            rounds = _throughput(plan, comparison, way, texts, say)
            capacity = statistics.median(one["stream"] for one in rounds)
            latency = latency_figures(way, texts, capacity, plan.light, plan.load_s, say)
            dead = way.dead_letters
        with running(plan.settings(plan.null), NullReplica), traffic(plan.kafka, plan.null, plan.paced) as way:
            worker = cpu_figures(cpu_rounds(way.stream, partial(_bare, plan, way), many, plan.rounds, say))
        figures = comparison.figures(rounds)
    return _together(figures, rounds, latency, worker, dead, plan.paced)


def _bare(plan: StreamPlan, way: LoadGenerator, turn: int, count: int) -> float:
    return bare_cpu_s(plan.kafka, plan.bare, plan.bare_group(turn), count, way.result_bytes())


def _throughput(
    plan: StreamPlan, comparison: Comparison, way: LoadGenerator, texts: list[str], say: Say
) -> list[dict[str, float]]:
    """Alternating rounds of all ways."""
    way.stream(texts)  # warms the caches, as in a worker that has run for a minute
    rounds = []
    for turn in range(plan.rounds):
        measured = comparison.round() | _streamed(way, texts)
        measured["stream_mfu"] = comparison.flops / len(texts) * measured["stream"] / measured["peak"]
        rounds.append(measured)
        say(f"round {turn + 1} of {plan.rounds}: topic to topic {measured['stream']:.1f} texts/s, {said(measured)}")
    return rounds


def _streamed(way: LoadGenerator, texts: list[str]) -> dict[str, float]:
    """Texts per second, and the busy shares of the device and of one core in the worker."""
    pids, before = processes(), model_stats()
    cpu = [cpu_s(pid) for pid in pids]
    seconds = way.stream(texts)
    worker, replica = (cpu_s(pid) - then for pid, then in zip(pids, cpu, strict=True))
    after = model_stats()
    slots = after["run_slots"] - before["run_slots"]
    return {
        "stream": len(texts) / seconds,
        "device_busy": (after["busy_s"] - before["busy_s"]) / seconds,
        "worker_busy": worker / seconds,
        "stream_cpu_us": (worker + replica) / len(texts) * 1e6,
        "stream_waste": 1 - (after["run_tokens"] - before["run_tokens"]) / slots if slots else 0.0,
    }


def _together(
    figures: dict[str, Any],
    rounds: list[dict[str, float]],
    latency: dict[str, Any],
    worker: dict[str, Any],
    dead_letters: int,
    in_memory: bool,
) -> dict[str, Any]:
    every = {name: [measured[name] for measured in rounds] for name in rounds[0]}
    of_engine = [one["stream"] / one["engine"] for one in rounds]
    row = {
        "way": "topic to topic",
        "texts_per_s": median(every["stream"]),
        "batches": figures["ways"][0]["batches"],
        "padding_waste": median(every["stream_waste"]),
        "mfu": median(every["stream_mfu"]),
        "cpu_us_per_message": round(statistics.median(every["stream_cpu_us"]), 1),
        "latency_ms": latency["light"]["way_ms"],
    }
    device, busy = statistics.median(every["device_busy"]), statistics.median(every["worker_busy"])
    return figures | {
        "broker": "in-memory" if in_memory else "Kafka",
        "stream": {
            "texts_per_s": median(every["stream"]),
            "of_engine": median(of_engine),
            "device_busy": round(device, 3),
            "worker_busy": round(busy, 3),
            "dead_letters": dead_letters,
        },
        "worker": worker,
        "latency": latency,
        "ways": [row, *figures["ways"]],
        "ratios": {"topic to topic / engine": median(of_engine), **figures["ratios"]},
        "limit": limit(
            device,
            busy,
            worker["kafka_python_us_per_message"],
            worker["cpu_us_per_message"],
            figures["engine"]["tokenize_us_per_text"],
        ),
    }


def limit(device: float, worker: float, kafka_us: float, total_us: float, tokenize_us: float) -> str:
    """The bottleneck, from the busy shares of the device and the worker's core, and the parts of that core's time."""
    shares = f"the device is busy for {device:.0%} of the time, the worker for {worker:.0%} of one core"
    if device >= BUSY:
        return f"device: {shares}"
    if worker < BUSY:
        return f"Serve: {shares}; calls wait between the two"
    parts = {"Kafka": kafka_us, "tokenizer": tokenize_us, "worker": total_us - kafka_us - tokenize_us}
    largest = max(parts, key=lambda name: parts[name])
    return f"{largest}: {shares}; {largest} takes {parts[largest]:.0f} of the worker's {total_us:.0f} us per message"
