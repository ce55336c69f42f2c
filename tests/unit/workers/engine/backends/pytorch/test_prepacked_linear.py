"""Prepacked linear layers give the same values, and stay plain without the operator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from labelstream.workers.engine.backends.pytorch.prepacked_linear import PrepackedLinear, pack_linears

Folders = Callable[[str], Path]


def test_prepacked_linear_gives_the_same_values(model_folder: Folders) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        model_folder("bert"), dtype=torch.bfloat16
    ).eval()
    ids = torch.arange(5, 35).reshape(3, 10)
    with torch.inference_mode():
        before = model(ids).logits.float()
        packed = pack_linears(model)
        after = model(ids).logits.float()
    assert packed == sum(isinstance(module, PrepackedLinear) for module in model.modules())
    assert (before - after).abs().max() < 0.05
    assert pack_linears(torch.nn.Sequential(torch.nn.Linear(4, 4))) == 0  # float32 stays


def test_missing_operator_leaves_the_model_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any) -> None:
        raise AttributeError("no such operator")

    monkeypatch.setattr(PrepackedLinear, "__init__", missing)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4, dtype=torch.bfloat16))
    assert pack_linears(model) == 0
    assert type(model[0]) is torch.nn.Linear
