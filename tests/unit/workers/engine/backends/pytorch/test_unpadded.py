"""Sequences without padding have the answers of `transformers.pipeline`, for every model type and task."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import transformers

from labelstream.workers.classifier import Embedding, Prediction, Request
from labelstream.workers.engine.backends.pytorch import backend as torch_backend
from labelstream.workers.engine.backends.pytorch import varlen_attention
from labelstream.workers.engine.backends.pytorch.buckets import layout_of
from labelstream.workers.engine.backends.pytorch.heads import OutputHead
from labelstream.workers.engine.backends.pytorch.unpadded import packing_for, positions_of, takes_4d_masks
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.inference.forward_layout import PaddedBatch, UnpaddedBatch
from labelstream.workers.engine.options import ModelOptions
from tests.support.fill_mask import assert_same, masked
from tests.support.models import FAMILIES, TEXTS, build
from tests.support.parity import ODD_TEXTS, PAIRS, assert_equal, oracle
from tests.support.recorder import unpadded_on_a_cpu

PLAIN: dict[str, Any] = {"device": "cpu", "dtype": "float32"}
WITH_BIAS = ("deberta-v2", "mpnet")
WITHOUT = tuple(family for family in FAMILIES if family not in WITH_BIAS)
# A padding token in a text is an ordinary token, except for RoBERTa's positions.
SPECIAL = ("<pad> good <pad><pad> bad", "[PAD] good [PAD]", "<pad>", "</s><s> <pad>")
Folders = Callable[[str], Path]


def load(folder: Path, budget: int = 256, **options: Any) -> Engine:
    with unpadded_on_a_cpu():
        engine = Engine.load(str(folder), max_batch_tokens=budget, **PLAIN, **options)
    assert engine._predictor.packs
    return engine


def no_padding(engine: Engine, before: dict[str, int]) -> bool:
    after = engine.stats()
    tokens = after["tokens"] - before["tokens"]
    return 0 < tokens == after["slots"] - before["slots"]


@pytest.mark.parametrize("family", WITHOUT)
def test_texts_and_pairs_equal_the_pipeline(model_folder: Folders, family: str) -> None:
    folder, texts = model_folder(family), TEXTS + ODD_TEXTS + SPECIAL
    requests = [Request(text) for text in texts] + [Request(text, pair) for text, pair in PAIRS]
    expected = oracle(folder, [*texts, *({"text": text, "text_pair": pair} for text, pair in PAIRS)])
    with load(folder, top_k=None) as engine:
        before = engine.stats()
        assert_equal(engine.classify(requests), expected, 1e-5)
        assert no_padding(engine, before)


@pytest.mark.parametrize("family", WITHOUT)
def test_masks_equal_the_pipeline(folders: Folders, family: str) -> None:
    folder = folders(family)
    mask = str(transformers.AutoTokenizer.from_pretrained(folder).mask_token)
    texts = [*(masked(text, mask) for text in TEXTS), *(mask + text for text in ODD_TEXTS), f"{mask} {'good ' * 200}"]
    with load(folder, task="fill-mask") as engine:
        assert_same(folder, texts, engine.classify([Request(text) for text in texts]))


@pytest.mark.parametrize("family", WITHOUT)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embeddings_equal_the_pipeline(folders: Folders, family: str, pooling: str) -> None:
    folder, texts = folders(family), [*TEXTS, *ODD_TEXTS]
    pipeline = transformers.pipeline("feature-extraction", str(folder), dtype=torch.float32, device="cpu")
    with load(folder, task="feature-extraction", pooling=pooling) as engine:
        answers = engine.classify([Request(text) for text in texts])
    for answer, text in zip(answers, texts, strict=True):
        assert isinstance(answer, Embedding)
        vectors = np.array(pipeline(text, truncation=True)[0])
        assert np.array(answer.vector) == pytest.approx(vectors.mean(0) if pooling == "mean" else vectors[0], abs=1e-5)


def test_windows_and_labels_equal_those_with_padding(model_folder: Folders, tmp_path: Path) -> None:
    nli = build(tmp_path / "nli", "roberta", labels=("contradiction", "neutral", "entailment"))
    long = [Request("good bad " * 90), Request("not so " * 50), Request("good")]
    labelled = [Request(text, candidate_labels=("good", "bad", "a bit of both")) for text in TEXTS]
    given: list[tuple[Path, dict[str, Any], list[Request]]] = [
        (model_folder("bert"), {"long_text": "windows", "top_k": None}, long),
        (nli, {"task": "zero-shot-classification"}, labelled),
    ]
    for folder, options, requests in given:
        with load(folder, **options) as engine, load(folder, 64, **options) as small:
            answers = [engine.classify(requests), small.classify(requests)]
        with Engine.load(str(folder), **PLAIN, **options) as engine:
            answers.append(engine.classify(requests))
        for found in zip(*answers, strict=True):
            scores = [dict(zip(one.labels, one.scores, strict=True)) for one in found if isinstance(one, Prediction)]
            assert len(scores) == 3
            assert scores[0] == pytest.approx(scores[2], abs=1e-5)
            assert scores[1] == pytest.approx(scores[2], abs=1e-5)


@pytest.mark.parametrize("family", WITH_BIAS)
def test_model_with_distance_bias_is_padded(
    model_folder: Folders, family: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = model_folder(family)
    with caplog.at_level(logging.INFO), unpadded_on_a_cpu(), Engine.load(str(folder), top_k=None, **PLAIN) as engine:
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(folder, TEXTS), 1e-5)
        assert not engine._predictor.packs
    assert "batches are padded: model type" in caplog.text


@pytest.mark.parametrize("what", ["wrong", "raises", "nan"])
def test_model_that_differs_unpadded_is_padded(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    def broken(*arguments: Any) -> torch.Tensor:
        if what == "raises":
            raise RuntimeError("no kernel image")
        return torch.full_like(arguments[0], float("nan")) if what == "nan" else arguments[0]

    monkeypatch.setattr(varlen_attention, "_one_by_one", broken)
    folder = model_folder("electra")
    with caplog.at_level(logging.WARNING), unpadded_on_a_cpu(), Engine.load(str(folder), top_k=None, **PLAIN) as engine:
        assert not engine._predictor.packs
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(folder, TEXTS), 1e-5)
    reason = "RuntimeError: no kernel image" if what == "raises" else "the model answers the test texts differently"
    assert f"batches are padded, because without padding {reason}" in caplog.text


def test_no_mask_is_made_without_padding_even_in_graph_capture(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers.masking_utils, "is_tracing", lambda *_: True)  # as under capture
    with load(model_folder("bert"), top_k=None) as engine:
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(model_folder("bert"), TEXTS), 1e-5)


def test_padding_tokens_in_a_text_do_not_count() -> None:
    ids = np.array([0, 1, 5, 1, 1, 7, 0, 6, 2], np.int64)  # of two sequences, 6 and 3 tokens
    batch = UnpaddedBatch(ids, np.array([0, 1, 2, 3, 4, 5, 0, 1, 2]), np.array([0, 6]), np.array([6, 3]), None)
    assert positions_of(batch, None).tolist() == batch.positions.tolist()
    assert positions_of(batch, 1).tolist() == [2, 1, 3, 1, 1, 4, 2, 3, 4]
    assert positions_of(batch._replace(ids=ids + 9), 1).tolist() == (batch.positions + 2).tolist()


def test_a_model_that_has_run_without_padding_runs_with_it(model_folder: Folders) -> None:
    for family in ("bert", "albert"):  # one with a narrowed last layer, and one without
        with load(model_folder(family), top_k=None) as engine:
            backend: Any = engine._backend
            batch = PaddedBatch(np.array([[5, 6, 7], [8, 9, 0]]), np.array([3, 2]), None)
            before = backend.logits(batch)
            engine.classify([Request(text) for text in TEXTS])
            assert torch.equal(backend.logits(batch), before)


def test_4d_masks_are_for_models_without_a_bias(model_folder: Folders) -> None:
    def model(family: str, attention: str) -> Any:
        return transformers.AutoModelForSequenceClassification.from_pretrained(
            model_folder(family), attn_implementation=attention
        )

    assert takes_4d_masks(model("bert", "sdpa"))
    assert not takes_4d_masks(model("bert", "eager"))
    assert not takes_4d_masks(model("deberta-v2", "eager"))
    assert not takes_4d_masks(model("mpnet", "eager"))
    assert not takes_4d_masks(SimpleNamespace(config=SimpleNamespace(model_type="other", _attn_implementation="sdpa")))


def test_model_with_another_attention_is_padded(caplog: pytest.LogCaptureFixture) -> None:
    config = SimpleNamespace(model_type="bert", _attn_implementation="eager")
    model, read = SimpleNamespace(config=config), SimpleNamespace()
    with caplog.at_level(logging.INFO):
        assert packing_for("m", model, cast(OutputHead, read), ModelOptions()) is None
    assert "m: batches are padded: the model's attention eager" in caplog.text


@pytest.mark.parametrize("family", WITHOUT)
def test_self_check_notices_shift_by_one_token_in_half(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    def shifted(lengths: np.ndarray) -> dict[str, np.ndarray]:
        laid = layout_of(lengths)
        return {**laid, **{name: np.maximum(laid[name] - 1, 0) for name in ("key_starts", "starts")}}

    folder = str(model_folder(family))
    with unpadded_on_a_cpu(), Engine.load(folder, device="cpu", dtype="bfloat16", backend="torch") as engine:
        assert engine._predictor.packs  # the self-check accepts correct answers
    monkeypatch.setattr(torch_backend, "layout_of", shifted)
    with unpadded_on_a_cpu(), Engine.load(folder, device="cpu", dtype="bfloat16", backend="torch") as engine:
        assert not engine._predictor.packs
