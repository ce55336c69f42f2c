"""Embeddings equal the pooled vectors of transformers' own pipeline."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labelstream.workers.classifier import Embedding, Fault, RecordError, Request
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.engine.tasks.embedding import shortest
from tests.support.descriptions import DESCRIPTION
from tests.support.models import FAMILIES, TEXTS, build
from tests.support.parity import BACKENDS, ODD_TEXTS

OPTIONS: dict[str, Any] = {"task": "feature-extraction", "device": "cpu", "dtype": "float32"}
Folders = Callable[[str], Path]


def vectors(folder: Path, texts: list[str], **options: Any) -> list[np.ndarray[Any, Any]]:
    with Engine.load(str(folder), max_batch_tokens=256, **{**OPTIONS, **options}) as engine:
        answers = engine.classify([Request(text) for text in texts])
    return [np.array(answer.vector) for answer in answers if isinstance(answer, Embedding)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_equals_the_pipeline(folders: Folders, family: str, backend: str) -> None:
    folder, texts = folders(family), [*TEXTS, *ODD_TEXTS]
    pipeline = transformers.pipeline("feature-extraction", str(folder), dtype=torch.float32, device="cpu")
    tokens = [np.array(pipeline(text, truncation=True)[0]) for text in texts]
    for found, expected in zip(vectors(folder, texts, backend=backend), tokens, strict=True):
        assert found == pytest.approx(expected.mean(0), abs=1e-5)
    for found, expected in zip(vectors(folder, texts, pooling="cls", backend=backend), tokens, strict=True):
        assert found == pytest.approx(expected[0], abs=1e-5)
    bfloat16 = vectors(folder, texts, dtype="bfloat16", normalize=True, backend=backend)
    for found, expected in zip(bfloat16, tokens, strict=True):
        mean = expected.mean(0)
        assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-6)
        assert found @ mean / np.linalg.norm(mean) > 0.99


def test_embedding_works_for_classifiers_and_bare_models(tmp_path: Path) -> None:
    for name in ("ForSequenceClassification", "Model"):
        (found,) = vectors(build(tmp_path / name, architecture=name), ["good"])
        assert found.shape == (32,)


def test_unsupported_request_options_are_refused(folders: Folders) -> None:
    requests = [
        Request("a", "pair"),
        Request("good " * 100),
        Request("a", candidate_labels=("x",)),
        Request("a", top_k=3),
    ]
    with Engine.load(str(folders("bert")), **OPTIONS) as engine:
        pair, long, labels, plain = engine.classify(requests)
    assert isinstance(pair, RecordError)
    assert pair.message == "the task feature-extraction takes no text_pair"
    assert isinstance(labels, RecordError)
    assert labels.fault is Fault.INVALID_LABELS
    assert isinstance(long, Embedding)
    assert isinstance(plain, Embedding)
    assert (long.truncated, long.tokens, plain.truncated, plain.tokens) == (True, 64, False, 3)


@given(npst.arrays(np.float32, st.integers(1, 20)))
def test_shortest_rounds_to_the_same_float32(values: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    short = shortest(values)
    assert np.array_equal(short.astype(np.float32), values, equal_nan=True)
    ordinary = (np.abs(values) > 1e-9) & (np.abs(values) < 1e9)
    assert all(len(repr(value).lstrip("-0.").replace(".", "")) <= 13 for value in short[ordinary].tolist())


def test_nine_digits_identify_any_float32() -> None:
    values = np.random.default_rng(0).uniform(0.1, 1, 1_000).astype(np.float32)
    assert max(len(repr(value)) for value in shortest(values).tolist()) == len("0.123456789")


def test_embedding_of_a_failed_row_is_its_error() -> None:
    task = task_for(replace(DESCRIPTION, task="feature-extraction", labels=(), dimensions=2, ranked=False))
    boom = RecordError(Fault.INFERENCE_FAILED, "boom")
    scored = ScoredSequences(None, np.array([[1.0, 2.0], [np.nan, np.nan]], np.float32), {1: boom})
    good, bad = task.prepare([Request("good"), Request("bad")]).answers(scored)
    assert isinstance(good, Embedding)
    assert bad == boom


def test_normalized_zero_vector_stays_zero() -> None:
    description = replace(DESCRIPTION, task="feature-extraction", labels=(), ranked=False, dimensions=2, normalize=True)
    error = RecordError(Fault.INFERENCE_FAILED, "x")
    prepared = task_for(description).prepare([Request("good"), Request("bad"), Request("x " * 99)])
    assert prepared.width == 2
    vectors = ScoredSequences(None, np.array([[0, 0], [3, 4], [np.nan, 1]], np.float32), {2: error})
    zero, five, failed = prepared.answers(vectors)
    assert (zero, failed) == (Embedding((0.0, 0.0), 3, False, "rev"), error)
    assert isinstance(five, Embedding)
    assert five.vector == pytest.approx((0.6, 0.8))


@pytest.mark.parametrize("normalize", [False, True])
def test_request_chooses_length_and_scale(folders: Folders, normalize: bool) -> None:
    requests = [
        Request(text, normalize=scaled, dimensions=dimensions)
        for text in TEXTS[:4]
        for scaled in (None, True, False)
        for dimensions in (None, 1, 7, 32)
    ]
    with Engine.load(str(folders("bert")), **OPTIONS, normalize=normalize) as engine:
        answers = engine.classify(requests)
    pipeline = transformers.pipeline("feature-extraction", str(folders("bert")), dtype=torch.float32, device="cpu")
    for request, answer in zip(requests, answers, strict=True):
        assert isinstance(answer, Embedding)
        expected = np.array(pipeline(request.text, truncation=True)[0]).mean(0)[: request.dimensions]
        if normalize if request.normalize is None else request.normalize:
            expected = expected / np.linalg.norm(expected)
        assert answer.vector == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("dimensions", [0, -1, 3])
def test_dimensions_outside_the_model_are_refused(dimensions: int) -> None:
    task = task_for(replace(DESCRIPTION, task="feature-extraction", labels=(), dimensions=2, ranked=False))
    prepared = task.prepare([Request("good", dimensions=dimensions), Request("good", dimensions=2)])
    assert {i: error.message for i, error in prepared.rejected.items()} == {
        0: f"dimensions is {dimensions}; the model's vectors have 1 to 2"
    }
