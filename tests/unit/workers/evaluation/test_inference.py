"""Predictions are the engine's own answers, for every kind of model, in torch and OpenVINO."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.engine.description import Activation, ModelDescription
from labelstream.workers.engine.engine import Engine
from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation import inference
from labelstream.workers.evaluation.examples import Examples
from labelstream.workers.evaluation.inference import kind_of, predict
from labelstream.workers.evaluation.predictions import Kind
from tests.support.descriptions import DESCRIPTION
from tests.support.models import TEXTS, build

LABELS = ("a", "b", "c")
LONG = "good bad " * 60


def examples(*gold: Any, pair: str | None = None) -> Examples:
    texts = [(TEXTS[i % len(TEXTS)], pair) for i in range(len(gold))]
    return Examples(texts, gold, [f"f:{i}" for i in range(len(gold))])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model"), labels=LABELS)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize(
    ("problem_type", "kind", "gold"),
    [
        ("single_label_classification", Kind.SINGLE_LABEL, "b"),
        ("multi_label_classification", Kind.MULTI_LABEL, ["a", "c"]),
    ],
    ids=["single", "multi"],
)
def test_scores_are_those_of_the_engine(model: Path, backend: str, problem_type: str, kind: Kind, gold: Any) -> None:
    given = examples(*[gold] * 10, pair="a pair")
    options = {"backend": backend, "dtype": "float32", "problem_type": problem_type, "top_k": None}
    with Engine.load(model, **options) as engine:
        outcome = predict(engine, "m", given)
        answers = engine.classify([Request(*text) for text in given.texts])
    predictions = outcome.predictions
    assert (predictions.kind, predictions.labels, len(predictions)) == (kind, LABELS, 10)
    for scores, answer in zip(predictions.scores.tolist(), answers, strict=True):
        assert isinstance(answer, Prediction)
        assert dict(zip(LABELS, scores, strict=True)) == dict(zip(answer.labels, answer.scores, strict=True))
    logits = predictions.logits
    assert logits is not None
    if kind is Kind.SINGLE_LABEL:
        again = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    else:
        again = 1 / (1 + np.exp(-logits))
        assert predictions.accepted is not None
        assert (predictions.accepted == (predictions.scores >= 0.5)).all()
    assert again == pytest.approx(predictions.scores, abs=1e-6)


def test_logits_are_transformers_logits_up_to_a_constant(model: Path) -> None:
    given = examples("a", "b", "c", "a")
    with Engine.load(model, backend="torch", dtype="float32", top_k=None) as engine:
        found = predict(engine, "m", given).predictions.logits
    inputs = AutoTokenizer.from_pretrained(model)([text for text, _ in given.texts], padding=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = AutoModelForSequenceClassification.from_pretrained(model)(**inputs).logits.numpy()
    assert found is not None
    assert found - found.mean(1, keepdims=True) == pytest.approx(wanted - wanted.mean(1, keepdims=True), abs=1e-3)


def test_logits_are_those_before_the_temperature(model: Path) -> None:
    given = examples(*"abcabc")
    found = []
    for temperature in (1.0, 2.5):
        with Engine.load(model, backend="torch", dtype="float32", top_k=None, temperature=temperature) as engine:
            found.append(predict(engine, "m", given).predictions)
    plain, cooler = (one.logits - one.logits.mean(1, keepdims=True) for one in found if one.logits is not None)
    assert cooler == pytest.approx(plain, abs=1e-4)
    assert (found[0].scores.max(1) > found[1].scores.max(1)).all()


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_regression_has_one_number_per_text(tmp_path: Path, backend: str) -> None:
    source = build(tmp_path / "model", labels=("score",), problem_type="regression")
    with Engine.load(source, backend=backend, dtype="float32", top_k=None) as engine:
        predictions = predict(engine, "m", examples("0.5", 1.5, 2)).predictions
        answers = engine.classify(list(TEXTS[:3]))
    assert (predictions.kind, predictions.labels, predictions.logits) == (Kind.REGRESSION, (), None)
    assert predictions.gold.tolist() == [0.5, 1.5, 2.0]
    assert predictions.scores.tolist() == [answer.scores[0] for answer in answers if isinstance(answer, Prediction)]


@pytest.mark.parametrize("multi_label", [False, True], ids=["exclusive", "independent"])
def test_zero_shot_has_the_candidate_labels(tmp_path: Path, multi_label: bool) -> None:
    source = build(tmp_path / "nli", labels=("entailment", "neutral", "contradiction"))
    options = {"task": "zero-shot-classification", "candidate_labels": ("praise", "blame"), "multi_label": multi_label}
    with Engine.load(source, top_k=None, dtype="float32", **options) as engine:
        predictions = predict(engine, "m", examples("blame", "praise")).predictions
        answers = engine.classify(list(TEXTS[:2]))
    assert predictions.labels == ("praise", "blame")
    assert predictions.kind is (Kind.MULTI_LABEL if multi_label else Kind.SINGLE_LABEL)
    for scores, answer in zip(predictions.scores.tolist(), answers, strict=True):
        assert isinstance(answer, Prediction)
        assert dict(zip(predictions.labels, scores, strict=True)) == dict(
            zip(answer.labels, answer.scores, strict=True)
        )


def test_windows_and_truncation_are_those_of_the_options(model: Path) -> None:
    given = Examples([(LONG, None), ("good", None)], ["a", "b"], ["f:1", "f:2"])
    with Engine.load(model, top_k=None) as engine:
        truncated = predict(engine, "m", given).predictions
    with Engine.load(model, top_k=None, long_text="windows") as engine:
        windows = predict(engine, "m", given).predictions
    assert truncated.truncated.tolist() == [True, False]
    assert windows.truncated.tolist() == [False, False]
    assert (truncated.scores[0] != windows.scores[0]).any()
    assert windows.logits is None


def test_thresholds_decide_what_is_accepted(model: Path) -> None:
    with Engine.load(model, top_k=None, threshold=0.99) as engine:
        predictions = predict(engine, "m", examples(*"abc")).predictions
    assert predictions.accepted is not None
    assert (predictions.accepted.any(1) == (predictions.scores.max(1) >= 0.99)).all()


class FakeModel:
    """Answers the even texts and refuses the odd ones."""

    def __init__(self, all_refused: bool = False) -> None:
        self.description = replace(DESCRIPTION, labels=("a", "b"))
        self.calls: list[int] = []
        self._all_refused = all_refused

    def submit(self, requests: Any, /) -> "Future[Any]":
        self.calls.append(len(requests))
        future: Future[Any] = Future()
        answers = [
            RecordError(Fault.TOO_LARGE, "too large")
            if i % 2 or self._all_refused
            else Prediction(("b", "a"), (0.75, 0.25), 3, False, "r")
            for i in range(len(requests))
        ]
        future.set_result(answers)
        return future


def test_refused_texts_are_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "TEXTS_PER_CALL", 4)
    model, advanced = FakeModel(), []
    outcome = predict(model, "m", examples(*"ababab"), advance=advanced.append)
    assert (model.calls, advanced) == ([4, 2], [4, 2])
    assert outcome.rows.tolist() == [0, 2, 4]
    assert outcome.refused == dict.fromkeys((1, 3, 5), "too large")
    predictions = outcome.predictions
    assert predictions.scores.tolist() == [[0.25, 0.75]] * 3
    assert predictions.gold.tolist() == [0, 0, 0]
    assert predictions.runtime_s > 0


def test_model_that_refuses_each_text_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"^the model answers no text; f:0: too large$"):
        predict(FakeModel(all_refused=True), "m", examples("a", "b"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"task": "feature-extraction"}, "task feature-extraction has no labels"),
        ({"activation": Activation.NONE}, "a regression with 2 outputs"),
        ({"labels": ("a",)}, "the model has one label only"),
    ],
    ids=["task", "regression", "one-label"],
)
def test_model_without_labels_to_compare_is_refused(changed: dict[str, Any], said: str) -> None:
    description: ModelDescription = replace(DESCRIPTION, **{"labels": ("a", "b"), **changed})
    with pytest.raises(EvaluationError, match=said):
        kind_of(description)
