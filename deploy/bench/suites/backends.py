"""Compares the backends for a classifier on this CPU: the same batches, in alternating rounds."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from labelstream.deploy.bench.baselines.other_runtimes import other_ways
from labelstream.deploy.bench.harness.texts import texts_for
from labelstream.deploy.bench.measures.hardware import hardware
from labelstream.workers.classifier import Request
from labelstream.workers.engine.backends.openvino.calibration_texts import LEAST
from labelstream.workers.engine.backends.openvino.label_agreement import agreement
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as in a replica
Say = Callable[[str], None]


@dataclass(frozen=True)
class BackendsPlan:
    """`texts`: a file, or None for synthetic texts. Enough texts in a file also calibrate int8.

    `others`: also torch.compile and ONNX Runtime, in float32.
    """

    source: str
    texts: Path | None
    count: int
    mean_tokens: int
    dtype: str
    rounds: int
    quantize: bool
    others: bool


def measure(plan: BackendsPlan, say: Say) -> dict[str, Any]:
    """The figures of each backend: medians over the rounds, seconds of the first start, agreement with torch's labels.

    Throughputs, and ratios to torch within a round. Agreement: the share of texts with torch's label in float32.
    Raises ModelError, ConfigError.
    """
    ways, start_s, description = _ways(plan, say)
    texts = texts_for(description, plan.texts, plan.count, plan.mean_tokens)
    requests = [Request(text) for text in texts]
    packed = task_for(description).prepare(requests).packed
    predictors = {name: Predictor(description, backend) for name, backend in ways.items()}
    reference = load(plan.source, ModelOptions(device="cpu", backend="torch", dtype="float32"))[1]
    agreed = {name: agreement(description, reference, backend, requests) for name, backend in ways.items()}  # warms up
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(plan.rounds):
        for name, predictor in predictors.items():
            started = time.perf_counter()
            predictor.predict(packed, 1)
            rates[name].append(len(texts) / (time.perf_counter() - started))
        say(f"round {turn + 1} of {plan.rounds}: " + ", ".join(f"{name} {of[-1]:.1f}" for name, of in rates.items()))
    return {
        "hardware": hardware(torch.device("cpu")),
        "texts": {"count": len(texts), "mean_tokens": round(float(packed.lengths.mean()), 1)},
        "backends": {
            name: {
                "dtype": str(ways[name].dtype).removeprefix("torch."),
                "texts_per_s": round(statistics.median(of), 2),
                "of_torch": round(statistics.median(a / b for a, b in zip(of, rates["torch"], strict=True)), 3),
                "agreement": round(agreed[name], 5),
                "start_s": round(start_s[name], 2),
            }
            for name, of in rates.items()
        },
    }


def _ways(plan: BackendsPlan, say: Say) -> tuple[dict[str, Backend], dict[str, float], ModelDescription]:
    own: dict[str, Any] = {"device": "cpu", "dtype": plan.dtype}
    options = {"torch": {**own, "backend": "torch"}, "openvino": {**own, "backend": "openvino"}}
    if plan.quantize:
        lines = [] if plan.texts is None else plan.texts.read_text(encoding="utf-8-sig").splitlines()
        enough = sum(1 for line in lines if line.strip()) >= LEAST
        options["openvino int8"] = {
            **own,
            "quantize": "int8",
            "min_agreement": 0.0,
            "calibration_texts": plan.texts if enough else None,
        }
    ways: dict[str, Backend] = {}
    start_s: dict[str, float] = {}
    description = None
    for name, chosen in options.items():
        started = time.perf_counter()
        description, ways[name] = load(plan.source, ModelOptions(**chosen))
        start_s[name] = time.perf_counter() - started
        say(f"{name}: ready after {start_s[name]:.1f} s")
    assert description is not None
    if plan.others:
        started = time.perf_counter()
        others = other_ways(plan.source, TextTokenizer(description).pair.has_types, ways["torch"])
        ways.update(others)
        start_s.update(dict.fromkeys(others, time.perf_counter() - started))
    return ways, start_s, description
