"""The OpenVINO backend: inputs by name, and ids outside its tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelstream.workers.engine.backends.openvino import backend as openvino_backend
from labelstream.workers.engine.inference.forward_layout import PaddedBatch
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions

Folders = Callable[[str], Path]


def options(**more: Any) -> ModelOptions:
    return ModelOptions(device="cpu", dtype="float32", **more)


def test_ids_outside_the_table_do_not_crash(model_folder: Folders) -> None:
    _, backend = load(str(model_folder("distilbert")), options(backend="openvino"))
    for token in (backend.vocab_size, -1, 2**31, -(2**40)):
        batch = PaddedBatch(np.array([[2, token, 3]]), np.array([3]), None)
        assert backend.logits(batch).shape == (1, 3)


def test_arrays_have_mask_and_zeros_for_missing_inputs() -> None:
    batch = PaddedBatch(np.array([[2, 7, 3], [2, 3, 0]]), np.array([3, 2]), None)
    given = openvino_backend.arrays(batch)
    assert given["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert given["token_type_ids"].tolist() == [[0] * 3] * 2
    assert given["targets"].tolist() == [0, 0]
    assert given["input_ids"] is batch.ids


def test_logits_are_copies_and_free_memory_frees(model_folder: Folders) -> None:
    _, backend = load(str(model_folder("distilbert")), options(backend="openvino"))
    one, other = (PaddedBatch(np.array([[2, token, 3]]), np.array([3]), None) for token in (5, 9))
    first = backend.logits(one)
    kept = first.clone()
    backend.logits(other)
    assert torch.equal(first, kept)
    backend.free_memory()
    assert torch.equal(backend.logits(one), kept)
    assert (backend.memory(), backend.device_type) == ({}, "cpu")
