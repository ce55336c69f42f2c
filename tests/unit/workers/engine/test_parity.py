"""The engine gives the labels and scores of `transformers.pipeline`, for every architecture and problem type."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labelstream.workers.classifier import Prediction, Request
from labelstream.workers.engine.engine import Engine
from tests.support.models import FAMILIES, TEXTS, build
from tests.support.parity import BACKENDS, ODD_TEXTS, PAIRS, assert_equal, oracle

Folders = Callable[[str], Path]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_texts_and_pairs_equal_the_pipeline(model_folder: Folders, family: str, backend: str) -> None:
    folder = model_folder(family)
    texts = TEXTS + ODD_TEXTS
    requests = [Request(text) for text in texts] + [Request(text, pair) for text, pair in PAIRS]
    expected = oracle(folder, [*texts, *({"text": text, "text_pair": pair} for text, pair in PAIRS)])
    assert len({scores[0]["label"] for scores in expected}) > 1
    for dtype, within in (("float32", 1e-5), ("bfloat16", 2e-2)):
        options = {"device": "cpu", "dtype": dtype, "top_k": None, "backend": backend}
        with Engine.load(str(folder), max_batch_tokens=256, **options) as engine:
            assert_equal(engine.classify(requests), expected, within)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("labels", "problem_type"),
    [
        (("a", "b", "c"), "multi_label_classification"),
        (("a", "b", "c"), "regression"),
        (("score",), "regression"),
        (("score",), None),
        (("a", "b"), "single_label_classification"),
        (tuple(f"intent-{i}" for i in range(77)), None),
    ],
)
def test_the_activation_is_the_pipelines(
    tmp_path: Path, labels: tuple[str, ...], problem_type: str | None, backend: str
) -> None:
    folder = build(tmp_path / "model", "bert", labels=labels, problem_type=problem_type)
    with Engine.load(str(folder), device="cpu", dtype="float32", top_k=None, backend=backend) as engine:
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(folder, TEXTS), 1e-5)


def test_truncated_text_is_marked(model_folder: Folders) -> None:
    with Engine.load(str(model_folder("distilbert")), device="cpu", dtype="float32", max_length=8) as engine:
        answers = engine.classify(
            [Request("good"), Request("good " * 6), Request("good " * 7), Request("g\u00f6 " * 99)]
        )
    assert [(answer.tokens, answer.truncated) for answer in answers if isinstance(answer, Prediction)] == [
        (3, False),
        (8, False),
        (8, True),
        (8, True),
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_text_has_same_answer_alone_and_in_a_batch(model_folder: Folders, backend: str) -> None:
    options = {"device": "cpu", "dtype": "float32", "top_k": None, "backend": backend}
    with Engine.load(str(model_folder("roberta")), **options) as engine:
        requests = [Request(text) for text in TEXTS + ODD_TEXTS]
        together = engine.classify(requests)
        alone = [engine.classify([request])[0] for request in requests]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert one.labels == other.labels
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
