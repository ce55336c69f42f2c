"""`python -m tests.gpu.measure`: what each step gives on this device, in one call of some minutes on a GPU.

From packed ids, as a replica gets them: neither tokenizer, Serve nor Kafka. DistilBERT-base's shape, texts of 32 tokens
on average, log-normal. All ways are run in turn, in every other round backwards; medians. Each way's scores are
compared with those of float32 on the CPU. A way that fails is a line that says so.
"""

import argparse
import json
import logging
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from deploy.bench.arithmetic import Flops, matmul_peak
from tests.bench.material import BASE, TINY, make_model
from tests.gpu.material import first, make_ids, scale_weights
from tests.gpu.ways import Way, makers
from workers.engine.faults import one_line
from workers.engine.packed import PackedSequences

TARGET_TEXTS_PER_S = 100_000
_COMPARED = 256
_SINGLE_RUNS = 30


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser("python -m tests.gpu.measure", description="What each step gives here.")
    cuda = torch.cuda.is_available()
    parser.add_argument("--json", type=Path, help="keep the figures here")
    parser.add_argument("--count", type=int, default=131_072 if cuda else 256, help="texts per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", choices=("base", "tiny"), default="base" if cuda else "tiny")
    parser.add_argument("--skip", help="leave out ways with this in their name, e.g. compiled, which takes longest")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder), BASE if chosen.shape == "base" else TINY)
        # A larger head, so that texts differ in their scores by more than rounding.
        scale_weights(model, 8, ("pre_classifier.weight", "classifier.weight"))
        figures = measure(model, "cuda" if cuda else "cpu", chosen.count, chosen.rounds, chosen.skip)
    print(table(figures))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def measure(folder: Path, device: str, count: int, rounds: int, skip: str | None = None) -> dict[str, Any]:
    """The figures of all ways, but those with `skip` in their name."""
    half = "bfloat16" if device == "cuda" else "float32"
    packed = make_ids(count)
    expected, flops = _reference(folder, packed)
    ways: dict[str, Way] = {}
    results: dict[str, dict[str, Any]] = {}
    for name, make in makers(folder, device, half):
        if skip and skip in name:
            continue
        started = time.perf_counter()
        try:
            ways[name] = make()
            results[name] = _checked(ways[name], packed, expected)
        except Exception as error:
            ways.pop(name, None)
            results[name] = {"error": one_line(error)}
        ready_s = time.perf_counter() - started
        print(f"{name}: {results[name]}, ready after {ready_s:.1f} s", file=sys.stderr, flush=True)
    peaks: dict[str, list[float]] = {"float32": [], half: []}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for dtype, found in peaks.items():
            found.append(matmul_peak(torch.device(device), getattr(torch, dtype)))
        for name in list(ways) if turn % 2 == 0 else list(ways)[::-1]:
            part = first(packed, max(1, int(count * ways[name].share)))
            _, taken = _timed(ways[name], part)
            seconds[name].append(taken / len(part.lengths))
    for name, way in ways.items():
        peak = statistics.median(peaks["float32" if "float32" in name else half])
        rate = 1 / statistics.median(seconds[name])
        results[name] |= {"texts_per_s": round(rate, 1), "mfu": round(rate * flops[way.narrowed] / count / peak, 4),
                          "lowest": round(1 / max(seconds[name]), 1), "highest": round(1 / min(seconds[name]), 1),
                          "max_batch_tokens": way.budget}
    best = max((figures.get("texts_per_s", 0.0) for figures in results.values()), default=0.0)
    return {
        "hardware": hardware(device), "count": count, "mean_tokens": round(float(packed.lengths.mean()), 1),
        "rounds": rounds, "matmul_tflops": {dtype: round(statistics.median(found) / 1e12, 2)
                                            for dtype, found in peaks.items()},
        "mflop_per_token": round(flops[False] / int(packed.lengths.sum()) / 1e6, 1),
        "ways": results, "best_texts_per_s": best, "target_texts_per_s": TARGET_TEXTS_PER_S,
    }


def _reference(folder: Path, packed: PackedSequences) -> tuple[np.ndarray[Any, Any], dict[bool, float]]:
    """Scores of the first texts by transformers in float32 on the CPU, one by one; FLOPs of all texts, by whether the
    last layer runs for what is read alone."""
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    some = first(packed, _COMPARED)
    ends = np.cumsum(some.lengths)
    scores = []
    with torch.inference_mode():
        for start, end in zip(ends - some.lengths, ends, strict=True):
            ids = torch.from_numpy(some.ids[start:end].astype(np.int64))[None]
            scores.append(torch.softmax(model(input_ids=ids).logits, -1).numpy())
    flops = {narrowed: Flops(model, 512, narrowed).of(packed.lengths) for narrowed in (False, True)}
    return np.concatenate(scores), flops


def _checked(way: Way, packed: PackedSequences, expected: np.ndarray[Any, Any]) -> dict[str, Any]:
    """What differs from the reference, what is padding and memory, and how long one text alone takes."""
    some = first(packed, _COMPARED)
    found = way.run(some)
    margin = np.abs(expected[:, 0] - expected[:, 1])
    sure = margin > 2 * 2e-2
    wrong = (found.argmax(1) != expected.argmax(1)) & sure
    part = first(packed, max(1, int(len(packed.lengths) * way.share)))
    for _ in range(2):
        way.run(part)  # what is recorded or compiled for a shape is so after its second time
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    before = way.counts()
    way.run(part)
    after = way.counts()
    single = first(packed, 1)
    alone = [_timed(way, single)[1] for _ in range(_SINGLE_RUNS)]
    return {
        "off_float32_by": float(np.abs(found - expected).max()), "labels_wrong": int(wrong.sum()),
        "labels_compared": int(sure.sum()),
        "padding": round(1 - (after[0] - before[0]) / (after[1] - before[1]), 4),
        "memory_mb": round(torch.cuda.max_memory_allocated() / 1e6) if torch.cuda.is_available() else 0,
        "one_text_ms": round(statistics.median(alone) * 1e3, 2),
    }


def _timed(way: Way, packed: PackedSequences) -> tuple[np.ndarray[Any, Any], float]:
    started = time.perf_counter()
    scores = way.run(packed)  # they are on the host when it returns
    return scores, time.perf_counter() - started


def hardware(device: str) -> dict[str, str]:
    """What it was measured on."""
    versions = {"torch": torch.__version__, "transformers": transformers.__version__,
                "python": platform.python_version()}
    if device == "cpu":
        return {"device": f"CPU, {torch.get_num_threads()} threads", **versions}
    properties = torch.cuda.get_device_properties(0)
    return {"device": properties.name, "memory_gb": f"{properties.total_memory / 1e9:.0f}",
            "cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version()), **versions}


def table(figures: dict[str, Any]) -> str:
    """For people."""
    texts = f"{figures['count']} texts of {figures['mean_tokens']} tokens, {figures['mflop_per_token']} MFLOP a token"
    lines = [", ".join(f"{name} {value}" for name, value in figures["hardware"].items()),
             f"{texts}; matrix product {figures['matmul_tflops']} TFLOP/s, medians of {figures['rounds']} rounds", "",
             "| way | texts/s | lowest to highest | MFU | padding | off float32 | tokens | one text, ms | MB |",
             "|---|---|---|---|---|---|---|---|---|"]
    for name, way in figures["ways"].items():
        lines.append(f"| {name} | failed: {way['error']} | | | | | | | |" if "error" in way else
                     f"| {name} | {way['texts_per_s']:,.0f} | {way['lowest']:,.0f} to {way['highest']:,.0f} | "
                     f"{way['mfu']:.3f} | {way['padding']:.1%} | {way['off_float32_by']:.1e}"
                     f"{', WRONG LABELS' if way['labels_wrong'] else ''} | {way['max_batch_tokens'] or ''} | "
                     f"{way['one_text_ms']} | {way['memory_mb']} |")
    return "\n".join([*lines, "", f"best {figures['best_texts_per_s']:,.0f} texts/s; the goal on an H200 is "
                                  f"{figures['target_texts_per_s']:,}"])


if __name__ == "__main__":
    sys.exit(main())
