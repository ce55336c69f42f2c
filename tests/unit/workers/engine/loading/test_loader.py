"""Models that are served, and models that are refused with a line that names the fix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from labelstream.workers.classifier import Request
from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading import hub as source
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from tests.support.models import MAX_LENGTH, TEXTS, build, make_tokenizer
from tests.support.parity import assert_equal, oracle
from tests.support.refused import refusal

Folders = Callable[[str], Path]


def test_description_has_all_that_a_worker_needs(copied: Path) -> None:
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
def test_max_length_is_the_tokenizers_and_positions_limit(
    tmp_path: Path, family: str, own: int | None, expected: int
) -> None:
    folder = build(tmp_path / "model", family, model_max_length=own)
    assert load(str(folder), ModelOptions(device="cpu"))[0].max_length == expected
    assert load(str(folder), ModelOptions(device="cpu", max_length=9))[0].max_length == 9
    assert load(str(folder), ModelOptions(device="cpu", max_length=9_999))[0].max_length == expected


@pytest.mark.parametrize(("family", "size"), [("roberta", None), ("bert", 2), ("deberta-v2", None), ("mpnet", None)])
def test_type_ids_outside_the_table_are_refused(model_folder: Folders, family: str, size: int | None) -> None:
    assert load(str(model_folder(family)), ModelOptions(device="cpu"))[1].type_vocab_size == size


def test_type_vocab_larger_than_a_byte_is_capped(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", "bert", type_vocab_size=300)
    assert load(str(folder), ModelOptions(device="cpu"))[1].type_vocab_size == 255


def test_bart_equals_the_pipeline(tmp_path: Path) -> None:
    """BART's head reads the last end token, of which all texts of a batch must have the same number."""
    tokenizer = make_tokenizer("roberta")
    sizes: dict[str, Any] = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads: dict[str, Any] = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    given: dict[str, Any] = {"vocab_size": len(tokenizer), "d_model": 32, "max_position_embeddings": 64}
    config = transformers.BartConfig(**given, **sizes, **heads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BartForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with Engine.load(str(tmp_path), device="cpu", dtype="float32", backend="torch", top_k=None) as engine:
        requests = [*(Request(text) for text in TEXTS), Request(TEXTS[0], TEXTS[1])]
        expected = oracle(tmp_path, [*TEXTS, {"text": TEXTS[0], "text_pair": TEXTS[1]}])
        assert_equal(engine.classify(requests), expected, 1e-5)


def test_config_without_position_limit_has_none(tmp_path: Path) -> None:
    tokenizer = make_tokenizer("bert")
    config = transformers.XLNetConfig(vocab_size=len(tokenizer), d_model=32, n_layer=1, n_head=4, d_inner=64)
    transformers.XLNetForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load(str(tmp_path), ModelOptions(device="cpu", backend="torch"))[0].max_length == MAX_LENGTH


_SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
_SMALL_XL: dict[str, Any] = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}
_SMALL_XLM: dict[str, Any] = {"emb_dim": 32, "n_layers": 2, "n_heads": 4}


@pytest.mark.parametrize(
    ("kind", "sizes", "dtype"),
    [
        ("ConvBert", {**_SMALL, "embedding_size": 32}, "auto"),
        ("FNet", {**_SMALL, "tpu_short_seq_length": 512}, "auto"),
        ("IBert", {**_SMALL, "max_position_embeddings": 128}, "auto"),
        ("XLNet", _SMALL_XL, "auto"),
        ("XLM", _SMALL_XLM, "float32"),  # whose padding id, 2, is another token of this tokenizer
    ],
)
def test_model_that_reads_padding_equals_the_pipeline(
    tmp_path: Path, kind: str, sizes: dict[str, Any], dtype: str
) -> None:
    tokenizer = make_tokenizer("bert")
    config = getattr(transformers, f"{kind}Config")(vocab_size=len(tokenizer), **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(3)
        model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with Engine.load(str(tmp_path), device="cpu", dtype=dtype, backend="torch", top_k=None) as engine:
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(tmp_path, TEXTS), 1e-5)


def test_architecture_without_token_embeddings_is_refused(tmp_path: Path) -> None:
    config = transformers.CanineConfig(**_SMALL, num_hash_functions=2, num_hash_buckets=8)
    transformers.CanineForSequenceClassification(config).save_pretrained(tmp_path)
    make_tokenizer("bert").save_pretrained(tmp_path)
    assert "use a model with a table of token embeddings" in refusal(tmp_path)
