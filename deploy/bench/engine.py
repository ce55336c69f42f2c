"""The engine alone beside `transformers.pipeline` on the same model and texts, in alternating rounds."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from deploy.bench.arithmetic import Flops, matmul_peak
from deploy.bench.texts import make_texts, read_texts
from workers.classifier import RecordError, Request
from workers.engine.engine import Engine
from workers.engine.tokenizer import TextTokenizer

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as a replica has it
CHUNK = 512  # texts per call, as a worker's micro-batches
BATCH_SIZES = {"cpu": (1, 8, 32), "cuda": (1, 32, 128, 512)}
_PIPELINE_SHARE = 10  # the pipeline gets so many times fewer texts: it is slow
_LEAST_TEXTS = 64
_TRIAL_TEXTS = 32
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to measure. `source`: a directory or the hub's id. `texts`: a file, or None for made-up ones."""

    source: str
    texts: Path | None
    count: int
    mean_tokens: int
    dtype: str
    device: str
    rounds: int


def measure(plan: Plan, say: Say) -> dict[str, Any]:
    """The figures: medians over the rounds, of throughputs and of the ratios within a round.

    Raises ModelError, ConfigError.
    """
    with Engine.load(plan.source, dtype=plan.dtype, device=plan.device, top_k=None) as engine:
        tokenizer = TextTokenizer(engine.description)
        texts = (read_texts(plan.texts, plan.count) if plan.texts else
                 make_texts(tokenizer.backend, plan.count, plan.mean_tokens))
        return _compare(plan, engine, tokenizer, texts, say)


def _compare(plan: Plan, engine: Engine, tokenizer: TextTokenizer, texts: list[str], say: Say) -> dict[str, Any]:
    device, dtype = engine.device, engine.dtype
    requests = [Request(text) for text in texts]
    packed, _ = tokenizer.encode(requests)
    same = _Pipeline(plan.source, device, dtype, texts)
    default = _Pipeline(plan.source, device, None, texts)
    flops = Flops(same.model, engine.description.max_length).of(packed.lengths)
    for pipeline, name in ((same, "of the same dtype"), (default, "with its defaults")):
        say(f"transformers.pipeline {name}: batches of {pipeline.batch_size} are its best")
    _classify(engine, requests)  # warms the caches
    rounds = []
    for turn in range(plan.rounds):
        peak, before = matmul_peak(device, dtype), engine.stats()
        seconds = _timed(lambda: _classify(engine, requests))
        after = engine.stats()
        rate = len(texts) / seconds
        rounds.append({
            "engine": rate, "same": same.texts_per_s(), "default": default.texts_per_s(),
            "mfu": flops / seconds / peak, "peak": peak,
            "waste": 1 - (after["tokens"] - before["tokens"]) / (after["slots"] - before["slots"]),
        })
        say(f"round {turn + 1} of {plan.rounds}: engine {rate:.1f} texts/s, MFU {rounds[-1]['mfu']:.2f}, pipeline "
            f"{rounds[-1]['same']:.1f} and {rounds[-1]['default']:.1f}")
    tokenize_s = min(_timed(lambda: tokenizer.encode(requests)) for _ in range(3))
    return _figures(rounds, len(texts), packed.lengths.tolist(), tokenize_s, engine, same, default)


def _figures(
    rounds: list[dict[str, float]], count: int, lengths: list[int], tokenize_s: float, engine: Engine,
    same: "_Pipeline", default: "_Pipeline",
) -> dict[str, Any]:
    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 4)

    every = {name: [figures[name] for figures in rounds] for name in rounds[0]}
    tokenize_share = tokenize_s * statistics.median(every["engine"]) / count
    return {
        "hardware": hardware(engine.device),
        "texts": {"count": count, "mean_tokens": round(statistics.mean(lengths), 1), "longest": max(lengths)},
        "engine": {
            "texts_per_s": median(every["engine"]),
            "mfu": median(every["mfu"]),
            "padding_waste": median(every["waste"]),
            "dtype": str(engine.dtype).removeprefix("torch."),
            "tokenize_us_per_text": round(tokenize_s / count * 1e6, 1),
            "max_batch_tokens": engine.stats()["max_batch_tokens"],
        },
        "matmul_peak_gflops": round(statistics.median(every["peak"]) / 1e9, 1),
        "pipeline": {
            "same_dtype_texts_per_s": median(every["same"]), "same_dtype_batch_size": same.batch_size,
            "default_texts_per_s": median(every["default"]), "default_batch_size": default.batch_size,
        },
        "ratios": {
            "engine / pipeline of the same dtype": median([one["engine"] / one["same"] for one in rounds]),
            "engine / pipeline with its defaults": median([one["engine"] / one["default"] for one in rounds]),
        },
        "limit": f"tokenizing on one core ({tokenize_share:.0%} of the time)" if tokenize_share > 0.5 else
                 f"the device (tokenizing takes {tokenize_share:.0%} of the time)",
    }


class _Pipeline:
    """`transformers.pipeline` on the first texts, with the batch size that suits it best. `dtype` None: its default."""

    def __init__(self, source: str, device: torch.device, dtype: torch.dtype | None, texts: list[str]) -> None:
        more: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
        self._pipeline: Any = transformers.pipeline("text-classification", model=source, device=device, **more)
        self.model: Any = self._pipeline.model
        self._texts = texts[: max(_LEAST_TEXTS, len(texts) // _PIPELINE_SHARE)]
        trial = self._texts[:_TRIAL_TEXTS]
        self._run(trial, 1)
        self.batch_size = min(BATCH_SIZES[device.type], key=lambda size: _timed(lambda: self._run(trial, size)))

    def texts_per_s(self) -> float:
        return len(self._texts) / _timed(lambda: self._run(self._texts, self.batch_size))

    def _run(self, texts: list[str], batch_size: int) -> None:
        self._pipeline(texts, batch_size=batch_size, top_k=None, truncation=True)


def _classify(engine: Engine, requests: list[Request]) -> None:
    futures = [engine.submit(requests[first : first + CHUNK]) for first in range(0, len(requests), CHUNK)]
    refused = [answer for future in futures for answer in future.result() if isinstance(answer, RecordError)]
    if refused:
        raise ValueError(f"{len(refused)} texts are refused: {refused[0].message}")


def _timed(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def hardware(device: torch.device) -> str:
    """The device's name; of a CPU its cores and what it has for bf16 and int8."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    flags = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512_vnni", "avx_vnni") if f" {flag}" in info]
    return f"{os.cpu_count()} cores, {name or platform.processor()} ({', '.join(flags) or 'no bf16, no int8'})"
