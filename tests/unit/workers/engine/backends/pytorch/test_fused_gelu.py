"""GELU fused with the product before it gives the same values."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from labelstream.workers.engine.backends.pytorch.fused_gelu import LinearGelu, fuse_gelu
from tests.support.models import FAMILIES, build

Folders = Callable[[str], Path]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_before(model_folder: Folders, calm: Any, family: str, dtype: torch.dtype) -> None:
    folder = calm(model_folder(family))
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()
    whole = copy.deepcopy(model)
    layers = 1 if family == "albert" else model.config.num_hidden_layers  # all layers of ALBERT share one module
    assert fuse_gelu(model) == layers
    assert sum(isinstance(module, LinearGelu) for module in model.modules()) == layers
    assert fuse_gelu(model) == 0
    ids = torch.randint(5, 60, (4, 9), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = whole(ids).logits.float().softmax(-1), model(ids).logits.float().softmax(-1)
    assert found == pytest.approx(expected, abs=5e-3)


def test_other_activations_are_not_fused(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", "bert", hidden_act="relu")
    assert fuse_gelu(transformers.AutoModelForSequenceClassification.from_pretrained(folder)) == 0


@pytest.mark.parametrize("value", [1.1, float("nan")])
def test_fusion_with_other_values_is_not_used(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: float
) -> None:
    inside = LinearGelu.forward
    monkeypatch.setattr(LinearGelu, "forward", lambda self, hidden: inside(self, hidden) * value)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder("bert"))
    with caplog.at_level(logging.WARNING):
        assert fuse_gelu(model) == 0
    assert "fused GELU gives different values" in caplog.text
