"""Measures `labelstream evaluate` beside the engine alone on the same texts, in alternating rounds, as medians.

    python -m tests.benchmarks.evaluation [--model SOURCE] [--count 3000] [--rounds 7] [--json FILE]

`engine` is one call of `Engine.classify` with all texts. `evaluate` is the whole command: reading the file, the engine,
metrics with intervals, both output files, and the table. Both use one loaded model, so that neither counts the loading
of the model and of Python's packages.
"""

import argparse
import json
import statistics
import tempfile
import time
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from labelstream.deploy.bench.harness.texts import texts_for
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.evaluation.command import evaluate
from labelstream.workers.engine.engine import Engine


def measure(model: str, count: int, mean_tokens: int, rounds: int) -> dict[str, float]:
    """Seconds of both ways, medians of `rounds` after one round to warm up, and the median ratio of a round."""
    with tempfile.TemporaryDirectory() as folder, Engine.load(model, top_k=None) as engine:
        texts = texts_for(engine.description, None, count, mean_tokens)
        labels = engine.description.labels
        data = Path(folder) / "data.jsonl"
        data.write_text(
            "".join(json.dumps({"text": text, "label": labels[i % len(labels)]}) + "\n" for i, text in enumerate(texts))
        )
        rows = [_round(engine, texts, data) for _ in range(rounds + 1)][1:]
    engine_s, evaluate_s = (statistics.median(column) for column in zip(*rows, strict=True))
    ratio = statistics.median(whole / alone for alone, whole in rows)
    return {"texts": count, "engine_s": engine_s, "evaluate_s": evaluate_s, "ratio": ratio}


def _round(engine: Engine, texts: list[str], data: Path) -> tuple[float, float]:
    started = time.perf_counter()
    engine.classify(texts)
    engine_s = time.perf_counter() - started
    started = time.perf_counter()
    with patch.object(Engine, "load", return_value=nullcontext(engine)), redirect_stdout(StringIO()):
        evaluate(str(data), json_file=data.with_name("r.json"), predictions=data.with_name("p.jsonl"))
    return engine_s, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(DEMO_MODEL))
    parser.add_argument("--count", type=int, default=3_000)
    parser.add_argument("--mean-tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.model, given.count, given.mean_tokens, given.rounds)
    print(f"{found['texts']} texts: engine {found['engine_s']:.3f} s, evaluate {found['evaluate_s']:.3f} s")
    print(f"evaluate / engine, median of the rounds: {found['ratio']:.3f}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
