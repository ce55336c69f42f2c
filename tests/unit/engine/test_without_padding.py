"""Sequences without padding: the answers of `transformers.pipeline`, from every family that runs so, on every task."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.models import FAMILIES, TEXTS, build
from tests.unit.engine.test_fill_mask import assert_same, masked
from tests.unit.engine.test_parity import ODD_TEXTS, PAIRS, assert_equal, oracle
from workers.classifier import Embedding, Prediction, Request
from workers.engine import varlen
from workers.engine.batcher import PackedBatch, PaddedBatch
from workers.engine.description import TaskName
from workers.engine.engine import Engine
from workers.engine.packing import packing_for, positions_of, takes_4d_masks
from workers.errors import ModelError

PACKED: dict[str, Any] = {"device": "cpu", "dtype": "float32", "attention": "packed"}
WITH_BIAS = ("deberta-v2", "mpnet")
WITHOUT = tuple(family for family in FAMILIES if family not in WITH_BIAS)
# A padding token that is written in a text is a token like others, but for RoBERTa's positions.
SPECIAL = ("<pad> good <pad><pad> bad", "[PAD] good [PAD]", "<pad>", "</s><s> <pad>")
Folders = Callable[[str], Path]


def load(folder: Path, budget: int = 256, **options: Any) -> Engine:
    engine = Engine.load(str(folder), max_batch_tokens=budget, **{**PACKED, **options})
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
    for folder, options, requests in (
        (model_folder("bert"), {"long_text": "windows", "top_k": None}, long),
        (nli, {"task": "zero-shot-classification"}, labelled),
    ):
        with load(folder, **options) as engine, load(folder, 64, **options) as small:
            answers = [engine.classify(requests), small.classify(requests)]
        with Engine.load(str(folder), **{**PACKED, **options, "attention": "padded"}) as engine:
            answers.append(engine.classify(requests))
        for found in zip(*answers, strict=True):
            scores = [dict(zip(one.labels, one.scores, strict=True)) for one in found if isinstance(one, Prediction)]
            assert len(scores) == 3
            assert scores[0] == pytest.approx(scores[2], abs=1e-5)
            assert scores[1] == pytest.approx(scores[2], abs=1e-5)


@pytest.mark.parametrize("family", WITH_BIAS)
def test_a_family_with_a_bias_by_distance_is_padded_and_says_so(
    model_folder: Folders, family: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), Engine.load(str(model_folder(family)), top_k=None, **PACKED) as engine:
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(model_folder(family), TEXTS), 1e-5)
        assert not engine._predictor.packs
    assert "so batches are padded: models of type" in caplog.text


@pytest.mark.parametrize("what", ["wrong", "raises", "nan"])
def test_a_model_that_answers_differently_without_padding_is_padded(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    def broken(*arguments: Any) -> torch.Tensor:
        if what == "raises":
            raise RuntimeError("no kernel image")
        return torch.full_like(arguments[0], float("nan")) if what == "nan" else arguments[0]

    monkeypatch.setattr(varlen, "_one_by_one", broken)
    folder = model_folder("electra")
    with caplog.at_level(logging.WARNING), Engine.load(str(folder), top_k=None, **PACKED) as engine:
        assert not engine._predictor.packs
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(folder, TEXTS), 1e-5)
    reason = "RuntimeError: no kernel image" if what == "raises" else "the first texts are answered differently"
    assert f"batches are padded: without padding {reason}" in caplog.text


def test_a_mask_or_a_bias_is_never_dropped() -> None:
    q = torch.zeros(1, 2, 3, 4)
    ends = torch.tensor([0, 3], dtype=torch.int32)
    for mask, more in ((torch.ones(1, 1, 1, 3), {}), (None, {"position_bias": q})):
        with pytest.raises(ValueError, match="neither a mask nor a bias"):
            varlen.attend(torch.nn.Identity(), q, q, q, mask, cu_seq_lens_q=ends, max_length_q=3, **more)


def test_padding_tokens_in_a_text_do_not_count() -> None:
    ids = np.array([0, 1, 5, 1, 1, 7, 0, 6, 2], np.int64)  # of two sequences, 6 and 3 tokens
    batch = PackedBatch(ids, np.array([0, 1, 2, 3, 4, 5, 0, 1, 2]), np.array([0, 6]), np.array([6, 3]), None)
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


def test_masks_as_they_are_are_for_what_has_no_bias(model_folder: Folders) -> None:
    def model(family: str, attention: str) -> Any:
        return transformers.AutoModelForSequenceClassification.from_pretrained(
            model_folder(family), attn_implementation=attention)

    assert takes_4d_masks(model("bert", "sdpa"))
    assert not takes_4d_masks(model("bert", "eager"))
    assert not takes_4d_masks(model("deberta-v2", "eager"))
    assert not takes_4d_masks(model("mpnet", "eager"))
    assert not takes_4d_masks(SimpleNamespace(config=SimpleNamespace(model_type="other", _attn_implementation="sdpa")))


def test_an_attention_of_another_name_is_refused(model_folder: Folders) -> None:
    with pytest.raises(ModelError, match="attention 'other' is unknown; use auto, padded or packed"):
        Engine.load(str(model_folder("bert")), device="cpu", attention="other")


@pytest.mark.parametrize(("dtype", "refused"), [(torch.float32, True), (torch.float16, False), (torch.bfloat16, False)])
def test_a_gpus_kernel_wants_half_precision(
    caplog: pytest.LogCaptureFixture, dtype: torch.dtype, refused: bool
) -> None:
    config = SimpleNamespace(model_type="bert", _attn_implementation="eager")
    model: Any = SimpleNamespace(config=config, device=torch.device("cuda"), dtype=dtype)
    read: Any = None
    with caplog.at_level(logging.WARNING):
        assert packing_for("m", "packed", model, read, TaskName.TEXT_CLASSIFICATION, "mean") is None
    assert ("needs bfloat16 or float16 on a GPU" in caplog.text) is refused
    assert ("asks for the attention eager" in caplog.text) is not refused
