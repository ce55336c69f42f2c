"""The measurement for GPUs runs on a CPU too, and on a machine that has little more than torch and transformers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.measure import table

# What such a machine need not have.
ABSENT = ("ray", "kafka", "confluent_kafka", "pydantic", "pydantic_settings", "tenacity", "hypothesis",
          "opentelemetry", "jiter")  # fmt: skip
SCRIPT = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT!r}))
import torch
torch.cuda.is_available = lambda: False
torch.nn.Module.compile = lambda self, **options: None  # it takes a compiler, and half a minute
torch.set_num_threads(1)
from tests.gpu.measure import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    path = tmp_path_factory.mktemp("gpu") / "figures.json"
    command = [sys.executable, "-c", SCRIPT, "--json", str(path), "--count", "48", "--rounds", "2"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280), path


def test_every_way_runs_and_answers_as_float32_does(
    done: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    process, path = done
    assert process.returncode == 0, process.stderr[-2_000:]
    figures = json.loads(path.read_text())
    assert len(figures["ways"]) == 13
    for name, way in figures["ways"].items():
        assert "error" not in way, (name, way)
        assert way["off_float32_by"] < 1e-5, name
        assert way["labels_wrong"] == 0
        assert way["texts_per_s"] > 0
        assert 0 < way["mfu"] < 1, name
        assert (way["padding"] == 0) == name.startswith("without padding"), (name, way)
    assert max(way["labels_compared"] for way in figures["ways"].values()) > 10
    assert figures["best_texts_per_s"] == max(way["texts_per_s"] for way in figures["ways"].values())
    assert table(figures) in process.stdout


def test_a_way_that_fails_is_a_line_of_the_table() -> None:
    figures = {"hardware": {"device": "x"}, "count": 1, "mean_tokens": 3.0, "mflop_per_token": 85.0, "rounds": 1,
               "matmul_tflops": {}, "best_texts_per_s": 0.0, "target_texts_per_s": 100_000,
               "ways": {"compiled": {"error": "RuntimeError: no compiler"}}}
    assert "| compiled | failed: RuntimeError: no compiler |" in table(figures)
