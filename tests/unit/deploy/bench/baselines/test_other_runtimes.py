"""Third-party runtimes as backends: their inputs, and answers equal to torch's."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from labelstream.deploy.bench.baselines import other_runtimes
from labelstream.deploy.bench.baselines.other_runtimes import PlainBackend, other_ways
from labelstream.workers.classifier import Request
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.tasks import task_for
from tests.support.models import TEXTS, build

LIKE: Any = SimpleNamespace(pad_id=7, vocab_size=50, type_vocab_size=2)


def test_backend_passes_the_wanted_inputs() -> None:
    given: list[dict[str, Any]] = []

    def run(arrays: dict[str, Any]) -> torch.Tensor:
        given.append(arrays)
        return torch.zeros(1, 2)

    backend = PlainBackend(run, ("input_ids", "attention_mask"), LIKE)
    assert (backend.pad_id, backend.vocab_size, backend.type_vocab_size) == (7, 50, 2)
    batch: Any = SimpleNamespace()
    with pytest.MonkeyPatch.context() as patched:
        names = ("input_ids", "attention_mask", "token_type_ids")
        patched.setattr(other_runtimes, "arrays", lambda one: {name: np.zeros((1, 3)) for name in names})
        assert backend.logits(batch).shape == (1, 2)
    assert [list(arrays) for arrays in given] == [["input_ids", "attention_mask"]]
    assert backend.memory() == {}
    backend.free_memory()
    backend.mark()()


def test_compiled_model_answers_as_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the compiler itself, which takes minutes."""
    monkeypatch.setattr(torch, "compile", lambda model, dynamic: model)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    source = str(build(tmp_path / "model"))
    description, torch_backend = load(source, ModelOptions(device="cpu", backend="torch", dtype="float32"))
    ways = other_ways(source, True, torch_backend)
    assert list(ways) == ["torch.compile"]
    packed = task_for(description).prepare([Request(text) for text in TEXTS]).packed
    one, other = (Predictor(description, way).predict(packed, 2) for way in (torch_backend, ways["torch.compile"]))
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
