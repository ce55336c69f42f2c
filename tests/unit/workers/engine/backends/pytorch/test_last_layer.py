"""The last layer restricted to the tokens that are read gives their values unchanged."""

import copy
import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from labelstream.workers.engine.backends.pytorch.heads import Logits
from labelstream.workers.engine.backends.pytorch.last_layer import LastLayer, prune_last_layer
from labelstream.workers.engine.engine import Engine
from tests.support.models import FAMILIES, build
from tests.support.recorder import unpadded_on_a_cpu

KNOWN = ("distilbert", "bert", "roberta", "xlm-roberta", "electra")
Folders = Callable[[str], Path]


def loaded(folder: Path, **options: Any) -> Any:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, **options)
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_known_model_types_are_narrowed(model_folder: Folders, family: str) -> None:
    model = loaded(model_folder(family))
    whole = copy.deepcopy(model)
    assert prune_last_layer(model) is (family in KNOWN)
    assert any(isinstance(module, LastLayer) for module in model.modules()) is (family in KNOWN)
    ids = torch.randint(5, 60, (4, 9), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(9) < torch.tensor([9, 7, 1, 2])[:, None]).long()
    with torch.inference_mode():
        for given in ({}, {"attention_mask": mask}):
            expected, found = whole(ids, **given).logits, model(ids, **given).logits
            assert found == pytest.approx(expected, abs=1e-5)
        hidden = model.base_model(ids).last_hidden_state
    assert hidden.shape[1] == (1 if family in KNOWN else 9)


@pytest.mark.parametrize("family", KNOWN)
def test_narrowed_layer_reads_any_token(model_folder: Folders, family: str) -> None:
    model = loaded(model_folder(family))
    whole = copy.deepcopy(model)
    prune_last_layer(model)
    ids = torch.randint(5, 60, (3, 6), generator=torch.Generator().manual_seed(2))
    mask = (torch.arange(6) < torch.tensor([6, 3, 4])[:, None]).long()
    asked = torch.tensor([5, 0, 2])
    with torch.inference_mode():
        expected = whole.base_model(ids, attention_mask=mask).last_hidden_state[torch.arange(3), asked]
        found = model.base_model(ids, attention_mask=mask, read_at=asked).last_hidden_state
    assert found[:, 0] == pytest.approx(expected, abs=1e-5)


def test_other_attention_is_not_narrowed(model_folder: Folders) -> None:
    assert not prune_last_layer(loaded(model_folder("bert"), attn_implementation="eager"))


@pytest.mark.parametrize("what", ["decoder", "causal", "no layers"])
def test_decoder_is_not_narrowed(tmp_path: Path, what: str) -> None:
    settings: dict[str, Any] = {"decoder": {"is_decoder": True}, "no layers": {"num_hidden_layers": 0}}.get(what, {})
    model = loaded(build(tmp_path / "model", "bert", **settings))
    if what == "causal":  # whatever the config says
        model.base_model.encoder.layer[-1].attention.self.is_causal = True
    assert not prune_last_layer(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("what", ["other", "nan", "raises"])
def test_layer_with_other_values_is_not_narrowed(
    model_folder: Folders, caplog: pytest.LogCaptureFixture, what: str, dtype: torch.dtype
) -> None:
    model = loaded(model_folder("bert")).to(dtype)
    other = 1.001 if dtype is torch.float32 else 1.1
    layer = model.base_model.encoder.layer[-1]
    forward = layer.forward

    def another(*arguments: Any, **named: Any) -> torch.Tensor:
        if what == "raises":
            raise TypeError("another signature")
        return forward(*arguments, **named) * (other if what == "other" else float("nan"))

    layer.forward = another
    with caplog.at_level(logging.WARNING):
        assert not prune_last_layer(model)
    assert model.base_model.encoder.layer[-1] is layer
    reason = "TypeError: another signature" if what == "raises" else "the values differ"
    assert "the last layer of this bert cannot be restricted to the tokens that are read" in caplog.text
    assert f"and runs for all tokens: {reason}" in caplog.text


def test_engine_equals_the_pipeline_when_narrowed(model_folder: Folders) -> None:
    for within in (nullcontext(), unpadded_on_a_cpu()):
        with within, Engine.load(str(model_folder("distilbert")), device="cpu", backend="torch") as engine:
            backend: Any = engine._backend
            assert backend._read.narrowed


def test_narrowed_layer_in_half_precision(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", "roberta")
    ids = torch.randint(5, 60, (4, 9), generator=torch.Generator().manual_seed(3))
    for dtype in (torch.bfloat16, torch.float16):
        model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()
        with torch.inference_mode():
            expected = model(ids).logits.softmax(-1).float()
            read = Logits(model)
            assert read.narrowed
            assert read({"input_ids": ids}, None).softmax(-1).float() == pytest.approx(expected, abs=2e-2)


def test_camembert_is_roberta() -> None:
    config = transformers.CamembertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    model = transformers.CamembertForSequenceClassification(config).eval()
    ids = torch.randint(5, 60, (4, 9), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        expected = model(ids).logits
        assert prune_last_layer(model)
        assert model(ids).logits == pytest.approx(expected, abs=1e-5)
