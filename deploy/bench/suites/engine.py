"""Compares the engine with `transformers.pipeline` on the same model and texts, in alternating rounds."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelstream.deploy.bench.baselines.transformers_pipeline import CLASSIFICATION, BestPipeline, padding_waste
from labelstream.deploy.bench.harness.texts import texts_for
from labelstream.deploy.bench.measures.flops import Flops, matmul_peak
from labelstream.deploy.bench.measures.hardware import hardware
from labelstream.deploy.bench.measures.timing import median, percentiles, timed
from labelstream.workers.classifier import RecordError, Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading.device import Precision, device_for, name_of, precision_for
from labelstream.workers.engine.tasks import task_for

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as in a replica
CHUNK = 512  # texts per call, as in a worker's micro-batches
ALONE = 12  # texts of each round that are sent one by one
_TOKENIZER_LIMITS = 0.5
_OVERHEAD_LIMITS = 0.1  # MFU below which arithmetic cannot be the bottleneck
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to measure. `source`: a directory or an id of the hub. `texts`: a file, or None for synthetic texts.

    `labels`: the candidate labels of zero-shot-classification.
    """

    source: str
    texts: Path | None
    count: int
    mean_tokens: int
    dtype: str
    device: str
    rounds: int
    task: str = CLASSIFICATION
    labels: tuple[str, ...] = ()

    @property
    def precision(self) -> Precision:
        """The precision of the model, the same in each process. Raises ModelError."""
        return precision_for(self.source, self.dtype, device_for(self.source, self.device))

    def load(self) -> Engine:
        """Raises ModelError."""
        zero_shot = {"task": self.task, "candidate_labels": self.labels} if self.labels else {}
        return Engine.load(self.source, dtype=self.dtype, device=self.device, top_k=None, **zero_shot)

    def texts_for(self, description: ModelDescription, count: int | None = None) -> list[str]:
        """`count`: default is the plan's. Raises ConfigError."""
        return texts_for(description, self.texts, count or self.count, self.mean_tokens)


def measure(plan: Plan, say: Say) -> dict[str, Any]:
    """The figures: medians over the rounds of throughputs, and of ratios within a round.

    Raises ModelError, ConfigError.
    """
    with plan.load() as engine:
        comparison = Comparison(plan, engine, plan.texts_for(engine.description), say)
        rounds = []
        for turn in range(plan.rounds):
            rounds.append(comparison.round())
            say(f"round {turn + 1} of {plan.rounds}: {said(rounds[-1])}")
        return comparison.figures(rounds)


def said(measured: dict[str, float]) -> str:
    """A round as one progress line."""
    return (
        f"engine {measured['engine']:.1f} texts/s, MFU {measured['mfu']:.2f}, pipeline {measured['same']:.1f} and "
        f"{measured['default']:.1f}"
    )


class Comparison:
    """The engine, the pipeline in the same dtype, and the pipeline with its defaults. `round` measures each once."""

    def __init__(self, plan: Plan, engine: Engine, texts: list[str], say: Say) -> None:
        self._plan, self._engine, self._count = plan, engine, len(texts)
        self._requests = [Request(text) for text in texts]
        self._task = task_for(engine.description)
        self.lengths = self._task.prepare(self._requests).packed.lengths
        self._pipelines = {
            "same": BestPipeline(plan.source, engine.device, engine.dtype, texts, plan.labels, sorts=True),
            "default": BestPipeline(plan.source, engine.device, None, texts, plan.labels),
        }
        model, longest = self._pipelines["same"].model, engine.description.max_length
        self.flops = Flops(model, longest, narrowed=True).of(self.lengths)
        self._pipeline_flops = Flops(model, longest).of(self.lengths)
        for name, pipeline in self._pipelines.items():
            say(f"{_NAMES[name]}: fastest with batches of {pipeline.batches}")
        self._latencies: dict[str, list[float]] = {"engine": [], "same": [], "default": []}
        self._classify()  # warms the caches

    def round(self) -> dict[str, float]:
        """Texts per second of each way, and the engine's peak, MFU and padding."""
        engine = self._engine
        peak, before = matmul_peak(engine.device, engine.dtype), engine.stats()
        took = timed(self._classify)
        after = engine.stats()
        measured = {
            "engine": self._count / took.seconds,
            "engine_cpu_us": took.cpu_s / self._count * 1e6,
            "mfu": self.flops / took.seconds / peak,
            "peak": peak,
            "waste": 1 - (after["tokens"] - before["tokens"]) / (after["slots"] - before["slots"]),
        }
        self._latencies["engine"] += self._alone()
        for name, pipeline in self._pipelines.items():
            took = pipeline.run()
            measured[name] = len(pipeline) / took.seconds
            measured[f"{name}_cpu_us"] = took.cpu_s / len(pipeline) * 1e6
            self._latencies[name] += pipeline.latencies_ms(ALONE)
        return measured

    def figures(self, rounds: list[dict[str, float]]) -> dict[str, Any]:
        every = {name: [measured[name] for measured in rounds] for name in rounds[0]}
        engine, same, default = self._engine, self._pipelines["same"], self._pipelines["default"]
        tokenize_s = min(timed(lambda: self._task.prepare(self._requests)).seconds for _ in range(3))
        share = tokenize_s * statistics.median(every["engine"]) / self._count
        ways = [self._row("engine", every), self._row("same", every), self._row("default", every)]
        return {
            "hardware": hardware(engine.device),
            "texts": {
                "count": self._count,
                "sequences": len(self.lengths),
                "longest": int(self.lengths.max()),
                "mean_tokens": round(float(self.lengths.mean()), 1),
            },
            "engine": {
                "texts_per_s": median(every["engine"]),
                "mfu": median(every["mfu"]),
                "padding_waste": median(every["waste"]),
                "dtype": name_of(engine.dtype),
                "dtype_why": self._plan.precision.why,
                "tokenize_us_per_text": round(tokenize_s / self._count * 1e6, 1),
                "max_batch_tokens": engine.stats()["max_batch_tokens"],
            },
            "matmul_peak_gflops": round(statistics.median(every["peak"]) / 1e9, 1),
            "pipeline": {
                "same_dtype_texts_per_s": median(every["same"]),
                "same_dtype_batch_size": same.batches.size,
                "same_dtype_by_length": same.batches.by_length,
                "default_texts_per_s": median(every["default"]),
                "default_batch_size": default.batches.size,
            },
            "ways": ways,
            "ratios": {
                f"engine / {name}": value for name, value in ratios(rounds, same.dtype == default.dtype).items()
            },
            "limit": limit(share, statistics.median(every["mfu"])),
        }

    def _row(self, name: str, every: dict[str, list[float]]) -> dict[str, Any]:
        """A row of the table."""
        row = {
            "way": _NAMES[name],
            "texts_per_s": median(every[name]),
            "cpu_us_per_message": round(statistics.median(every[f"{name}_cpu_us"]), 1),
            "latency_ms": percentiles(self._latencies[name]),
        }
        if name == "engine":
            tokens = self._engine.stats()["max_batch_tokens"]
            return row | {
                "batches": f"{tokens} tokens",
                "padding_waste": median(every["waste"]),
                "mfu": median(every["mfu"]),
            }
        pipeline = self._pipelines[name]
        per_text = self._pipeline_flops / self._count
        return row | {
            "batches": str(pipeline.batches),
            "padding_waste": round(padding_waste(self.lengths, *pipeline.batches), 4),
            "mfu": median([rate * per_text / peak for rate, peak in zip(every[name], every["peak"], strict=True)]),
        }

    def _alone(self) -> list[float]:
        found = []
        for request in self._requests[:ALONE]:
            started = time.perf_counter()
            self._engine.classify([request])
            found.append((time.perf_counter() - started) * 1000)
        return found

    def _classify(self) -> None:
        requests = self._requests
        chunks: Sequence[list[Request]] = [requests[first : first + CHUNK] for first in range(0, len(requests), CHUNK)]
        futures = [self._engine.submit(chunk) for chunk in chunks]
        refused = [answer for future in futures for answer in future.result() if isinstance(answer, RecordError)]
        if refused:
            raise ValueError(f"{len(refused)} texts were refused: {refused[0].message}")


def limit(tokenizing: float, mfu: float) -> str:
    """The bottleneck, from the tokenizer's share of the time on one core and the model's FLOPs utilization."""
    if tokenizing > _TOKENIZER_LIMITS:
        return f"tokenizer: takes {tokenizing:.0%} of the time on one core"
    if mfu < _OVERHEAD_LIMITS:
        return (
            f"overhead: MFU is {mfu:.2f} and tokenizing takes {tokenizing:.0%} of the time; memory and the fixed costs "
            "of each forward take the rest"
        )
    return f"device: tokenizing takes {tokenizing:.0%} of the time, the model the rest"


def ratios(rounds: Sequence[dict[str, float]], compute_the_same: bool) -> dict[str, float]:
    """The speed-up of the engine: medians over the rounds of the ratios within a round.

    `compute_the_same`: the pipeline's default dtype is the engine's. Then both pipelines are the same, and the engine
    is compared with the faster one of each round.
    """
    if compute_the_same:
        return {BEST: median([one["engine"] / max(one["same"], one["default"]) for one in rounds])}
    return {_NAMES[name]: median([one["engine"] / one[name] for one in rounds]) for name in ("same", "default")}


BEST = "the better pipeline"
_NAMES = {"engine": "engine", "same": "pipeline, same dtype", "default": "pipeline, its defaults"}
