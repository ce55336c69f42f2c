"""What can be served and what is refused, each with a line that names the fix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.loading import hub as source
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from tests.support.models import MAX_LENGTH, build
from tests.support.refused import refusal

Folders = Callable[[str], Path]


def test_a_description_says_all_that_the_worker_needs(copied: Path) -> None:
    description, backend = load(str(copied), ModelOptions(device="cpu", dtype="float32", max_length=16))
    assert description.labels == ("a", "b", "c")
    assert (description.max_length, description.top_k, description.task) == (16, 3, "text-classification")
    assert description.activation is Activation.SOFTMAX
    assert description.revision == source.revision_of(copied)
    assert (backend.device_type, backend.pad_id) == ("cpu", 0)
    assert load(str(copied), ModelOptions(device="cpu", top_k=2))[0].top_k == 2


def test_a_directory_needs_no_network(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("network")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setattr("socket.socket.connect", no_network)
    assert load(str(copied), ModelOptions(device="cpu"))[0].labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("family", "own", "expected"),
    [("roberta", None, MAX_LENGTH), ("mpnet", None, MAX_LENGTH), ("bert", None, MAX_LENGTH), ("bert", 32, 32)],
)
def test_the_length_is_what_tokenizer_and_positions_take(
    tmp_path: Path, family: str, own: int | None, expected: int
) -> None:
    folder = build(tmp_path / "model", family, model_max_length=own)
    assert load(str(folder), ModelOptions(device="cpu"))[0].max_length == expected
    assert load(str(folder), ModelOptions(device="cpu", max_length=9))[0].max_length == 9
    assert load(str(folder), ModelOptions(device="cpu", max_length=9_999))[0].max_length == expected


@pytest.mark.parametrize(("family", "size"), [("roberta", None), ("bert", 2), ("deberta-v2", None), ("mpnet", None)])
def test_the_table_of_type_ids_bounds_what_the_model_is_given(
    model_folder: Folders, family: str, size: int | None
) -> None:
    assert load(str(model_folder(family)), ModelOptions(device="cpu"))[1].type_vocab_size == size


def test_type_vocab_larger_than_a_byte_is_capped(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", "bert", type_vocab_size=300)
    assert load(str(folder), ModelOptions(device="cpu"))[1].type_vocab_size == 255


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_weights_of_a_wrapper_are_named_by_their_prefix(copied: Path, prefix: str) -> None:
    weights = load_file(copied / "model.safetensors")
    save_file({prefix + key: value for key, value in weights.items()}, copied / "model.safetensors", {"format": "pt"})
    message = refusal(copied)
    assert f"all with the prefix {prefix!r}" in message
    assert "save the model inside of the wrapper" in message


def test_weights_of_other_names_are_shown(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    weights["head.weight"] = weights.pop("classifier.weight")
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    message = refusal(copied)
    assert "the weights lack classifier.weight" in message
    assert "the file has head.weight, which the model does not know" in message
