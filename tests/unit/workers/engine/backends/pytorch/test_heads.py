"""The output heads: logits, logits at a target, and pooled vectors."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from labelstream.workers.engine.backends.pytorch.heads import Pooled, TargetLogits, UnpaddedHead

Folders = Callable[[str], Path]


def test_pooling_is_in_float32_and_by_any_mask() -> None:
    class Model(torch.nn.Module):
        def forward(self, hidden: torch.Tensor, **more: Any) -> Any:
            return SimpleNamespace(last_hidden_state=hidden)

    hidden = torch.rand(2, 300, 4, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    mask = torch.ones(2, 300, dtype=torch.int64)
    mask[1, 200:] = 0
    expected = torch.stack([hidden[0].double().mean(0), hidden[1, :200].double().mean(0)])
    read = Pooled(Model(), "mean")
    for shown in (mask, mask.bool()[:, None, None]):
        found = read({"hidden": hidden, "attention_mask": shown}, None)
        assert found.dtype is torch.float32
        assert found.double() == pytest.approx(expected, abs=1e-5)
    assert read({"hidden": hidden}, None).dtype is torch.float32
    assert read({"hidden": hidden}, None).double() == pytest.approx(hidden.double().mean(1), abs=1e-5)


def test_only_heads_of_single_tokens_are_narrowed(folders: Folders) -> None:
    def model() -> Any:
        return transformers.AutoModelForMaskedLM.from_pretrained(folders("bert")).eval()

    assert TargetLogits(model()).narrowed
    assert Pooled(model().base_model, "cls").narrowed
    assert not Pooled(model().base_model, "mean").narrowed


def test_target_logits_equal_the_whole_models(folders: Folders) -> None:
    model: Any = transformers.AutoModelForMaskedLM.from_pretrained(folders("mpnet")).eval()
    ids, targets = torch.arange(5, 17).reshape(2, 6), torch.tensor([4, 1])
    with torch.inference_mode():
        expected = model(ids).logits[[0, 1], targets]
        assert TargetLogits(model)({"input_ids": ids}, targets) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("mean", [True, False])
def test_unpadded_head_reduces_sequences_to_one_vector(mean: bool) -> None:
    class Last(torch.nn.Module):
        def forward(self, hidden: torch.Tensor) -> Any:
            return SimpleNamespace(last_hidden_state=hidden)

    class Read:
        narrowed = False

        def __call__(self, inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor:
            return last(inputs["hidden"]).last_hidden_state[:, 0]

    last = Last()
    head = UnpaddedHead(Read(), last, mean)
    hidden = torch.arange(10.0).reshape(1, 5, 2)
    found = head({"hidden": hidden}, torch.tensor([1, 3]), torch.tensor([3, 2]))
    expected = [[2.0, 3.0], [7.0, 8.0]] if mean else [[2.0, 3.0], [6.0, 7.0]]
    assert found.tolist() == expected
    assert last(hidden).last_hidden_state.shape == (1, 5, 2)  # the hook acts only during a call
