"""The torch backend: masks only for padding, and type ids only for models that take them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from labelstream.workers.engine.backends.pytorch.backend import TorchBackend
from labelstream.workers.engine.inference.forward_layout import PaddedBatch


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.config: Any = SimpleNamespace()

    def forward(self, input_ids: torch.Tensor, use_cache: bool = True) -> None: ...


class Reads:
    narrowed = False

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def __call__(self, inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor:
        self.given.append({**inputs, "targets": targets})
        return torch.zeros(len(inputs["input_ids"]), 2)


def backend(reads: Reads, takes_type_ids: bool = False) -> TorchBackend:
    return TorchBackend(Model(), reads, 0, 50, takes_type_ids, 2 if takes_type_ids else None)


def test_mask_is_made_only_for_padding() -> None:
    reads = Reads()
    ids = np.array([[2, 7, 3], [2, 3, 0]])
    backend(reads).logits(PaddedBatch(ids, np.array([3, 2]), None))
    backend(reads).logits(PaddedBatch(ids[:1], np.array([3]), None, np.array([1])))
    padded, whole = reads.given
    assert padded["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert "attention_mask" not in whole
    assert (padded["use_cache"], padded["return_dict"]) == (False, True)
    assert (padded["targets"], whole["targets"].tolist()) == (None, [1])


@pytest.mark.parametrize("takes", [True, False])
def test_type_ids_are_for_models_that_take_them(takes: bool) -> None:
    reads, ids = Reads(), np.array([[2, 7]])
    backend(reads, takes).logits(PaddedBatch(ids, np.array([2]), np.array([[0, 1]])))
    backend(reads, takes).logits(PaddedBatch(ids, np.array([2]), None))
    found = [given["token_type_ids"].tolist() if "token_type_ids" in given else None for given in reads.given]
    assert found == ([[[0, 1]], [[0, 0]]] if takes else [None, None])


def test_cpu_reports_no_memory_and_records_nothing() -> None:
    made = backend(Reads())
    made.mark()()
    made.free_memory()
    assert (made.memory(), made.record(100), made.packs, made.device_type) == ({}, 0, False, "cpu")


def test_model_that_masks_by_ids_always_gets_a_mask() -> None:
    reads, model = Reads(), Model()
    model.config = SimpleNamespace(pad_index=2)
    TorchBackend(model, reads, 0, 50, False, None).logits(PaddedBatch(np.array([[2, 7, 3]]), np.array([3]), None))
    assert reads.given[0]["attention_mask"].tolist() == [[1, 1, 1]]
