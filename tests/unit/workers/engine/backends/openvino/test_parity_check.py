"""A converted model is compared with torch in several shapes, none longer than texts are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from labelstream.workers.engine.backends.openvino import backend as openvino_backend
from labelstream.workers.engine.backends.openvino import parity_check
from labelstream.workers.engine.inference.forward_layout import PaddedBatch
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions

Folders = Callable[[str], Path]


def options(**more: Any) -> ModelOptions:
    return ModelOptions(device="cpu", dtype="float32", **more)


def test_difference_compares_with_type_ids(model_folder: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    whole = openvino_backend.arrays

    def seen(batch: PaddedBatch) -> Any:
        found = whole(batch)
        given.append(int(found["token_type_ids"].max()))
        return found

    monkeypatch.setattr(parity_check, "arrays", seen)
    load(str(model_folder("bert")), options(backend="openvino"))
    assert given == [0, 1, 1]


class Same:
    """Adds `more` to the output of `read`."""

    vocab_size, pad_id, type_vocab_size = 50, 0, None

    def __init__(self, more: float = 0.0) -> None:
        self.more, self.widths = more, []

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        self.widths.append(batch.ids.shape[1])
        return read({"input_ids": torch.from_numpy(batch.ids)}, None) + self.more


def read(inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor:
    return inputs["input_ids"].float().mean(1, keepdim=True)


@pytest.mark.parametrize(("max_length", "widths"), [(3, [2, 3, 3]), (64, [2, 33, 64]), (100_000, [2, 33, 512])])
def test_difference_uses_at_most_longest_tokens(max_length: int, widths: list[int]) -> None:
    backend: Any = Same()
    assert parity_check.difference(backend, cast(Any, read), ("input_ids",), max_length) is None
    assert backend.widths == widths


def test_difference_names_the_largest_deviation() -> None:
    found = parity_check.difference(cast(Any, Same(1.0)), cast(Any, read), ("input_ids",), 64)
    assert found is not None
    assert "its logits for 1 texts of 2 tokens differ by" in found
    assert parity_check.difference(cast(Any, Same(float("nan"))), cast(Any, read), ("input_ids",), 64) is not None
