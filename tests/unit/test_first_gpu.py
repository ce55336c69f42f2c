"""The GPU's measuring runs on a CPU too, and on a machine that has little more than torch and transformers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# What such a machine need not have.
ABSENT = (
    "ray",
    "kafka",
    "confluent_kafka",
    "pydantic",
    "pydantic_settings",
    "tenacity",
    "hypothesis",
    "opentelemetry",
    "jiter",
    "openvino",
)
BLOCK = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT!r}))
# The project itself is not installed there: what an editable install adds is taken away.
sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
import torch
torch.cuda.is_available = lambda: False
torch.set_num_threads(1)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """`first.json`, of a run in a Python that has none of `ABSENT`. The tests of the GPU path would all be skipped."""
    blocks, out = tmp_path_factory.mktemp("blocks"), tmp_path_factory.mktemp("out")
    (blocks / "sitecustomize.py").write_text(BLOCK)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/gpu/first.py"), "--out", str(out), "--skip", "tests"],
        cwd=blocks,
        env={**os.environ, "PYTHONPATH": str(blocks)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    assert [path.name for path in out.iterdir()] == ["first.json"]
    assert [path.name for path in blocks.iterdir() if path.suffix == ".py"] == ["sitecustomize.py"]
    return json.loads((out / "first.json").read_text())


def test_every_step_runs(found: dict[str, Any]) -> None:
    assert list(found) == [
        "machine",
        "right",
        "start",
        "host",
        "whole_process",
        "attention",
        "forwards",
        "launching",
        "profile",
        "cudnn",
        "failed_capture",
        "ceilings",
    ]
    for name, step in found.items():
        assert "error" not in step, (name, step)


def test_nothing_fails_but_what_takes_a_compiler(found: dict[str, Any]) -> None:
    for step in found.values():
        for name, value in step["found"].items():
            if "triton" not in name.lower():
                assert "failed" not in json.dumps(value), (name, value)


def test_the_products_ways_answer_as_float32_does(found: dict[str, Any]) -> None:
    ways = {name: way for name, way in found["right"]["found"].items() if "triton" not in name}
    assert len(ways) == 7
    for off, same in ways.values():
        assert off < 1e-5
        assert same == 1


def test_what_sizes_are_made_from_is_there(found: dict[str, Any]) -> None:
    assert found["whole_process"]["found"]["replica_texts_per_s"] > 0
    assert "gpu" not in found["machine"]["found"]  # so that a CPU's figure is never taken for a GPU's


def test_unknown_step_is_error_and_keeps_folders(tmp_path: Path) -> None:
    for name in ("tests", "model", "triton"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kept").touch()
    script = [sys.executable, str(ROOT / "tests/gpu/first.py"), "--out", str(tmp_path), "--only"]
    done = subprocess.run([*script, "machin"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "no such step: machin; there are machine, right" in done.stderr
    done = subprocess.run([*script, "machine"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.json", "model", "tests", "triton"]
    assert len(list(tmp_path.glob("*/kept"))) == 3


def test_a_step_that_fails_is_seen_in_the_exit_status(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "tests/gpu/first.py"), "--out", str(tmp_path), "--only", "tests"]
    done = subprocess.run(
        script,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTEST_ADDOPTS": "--no-such-option"},
    )
    assert done.returncode == 1
    assert "failed: tests" in done.stderr
