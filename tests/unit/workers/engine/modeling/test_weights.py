"""Missing weights are named, with the unexpected weights in the file."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.support.refused import refusal


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_weights_of_a_wrapper_are_named_by_their_prefix(copied: Path, prefix: str) -> None:
    weights = load_file(copied / "model.safetensors")
    save_file({prefix + key: value for key, value in weights.items()}, copied / "model.safetensors", {"format": "pt"})
    message = refusal(copied)
    assert f"with the prefix {prefix!r}" in message
    assert "save the model inside the wrapper" in message


def test_unexpected_weights_are_named(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    weights["head.weight"] = weights.pop("classifier.weight")
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    message = refusal(copied)
    assert "the weights lack classifier.weight" in message
    assert "the file has head.weight, which the model does not have" in message
