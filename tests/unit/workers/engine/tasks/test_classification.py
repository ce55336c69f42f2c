"""The labels of a text: how many, and which are accepted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from labelstream.workers.classifier import Fault, Prediction, Request
from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.ragged import ScoredSequences, Scoring
from labelstream.workers.engine.tasks import task_for
from tests.support.descriptions import DESCRIPTION
from tests.support.models import TEXTS, build
from tests.support.parity import BACKENDS, ODD_TEXTS, assert_equal
from tests.support.scored import scored_of

TASK = task_for(DESCRIPTION)


def test_each_request_gets_its_own_top_k() -> None:
    requests = [Request("good"), Request("bad", top_k=1), Request("x", "y", 3), Request("good", top_k=99)]
    prepared = TASK.prepare(requests)
    assert prepared.width == 3
    answers = prepared.answers(scored_of(4, 3))
    assert [one.labels for one in answers if isinstance(one, Prediction)] == [
        ("a", "b"),
        ("b",),
        ("c", "a", "b"),
        ("a", "b", "c"),
    ]
    assert answers[1] == Prediction(("b",), (0.5,), int(prepared.packed.lengths[1]), False, "rev")


def test_top_k_above_the_limit_is_refused() -> None:
    task = task_for(replace(DESCRIPTION, labels=tuple(map(str, range(1_100)))))
    prepared = task.prepare([Request("good", top_k=1_000), Request("good", top_k=1_001), Request("good", top_k=0)])
    assert {i: error.fault for i, error in prepared.rejected.items()} == dict.fromkeys((1, 2), Fault.INVALID_MESSAGE)


def test_sigmoid_labels_are_independent() -> None:
    task = task_for(replace(DESCRIPTION, labels=("a", "b"), activation=Activation.SIGMOID, top_k=1))
    prepared = task.prepare([Request("good")])
    assert prepared.width == 2
    scored = ScoredSequences(np.array([[1, 0]], np.int32), np.array([[0.9, 0.6]], np.float32), {})
    (answer,) = prepared.answers(scored)
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted) == (("b", "a"), ("b", "a"))


@pytest.mark.parametrize(("score", "accepted"), [(0.1, ()), (0.5, ("a",))])
def test_single_label_is_independent(score: float, accepted: tuple[str, ...]) -> None:
    task = task_for(replace(DESCRIPTION, labels=("a",), activation=Activation.SIGMOID, top_k=1))
    prepared = task.prepare([Request("good")])
    (answer,) = prepared.answers(ScoredSequences(np.array([[0]], np.int32), np.array([[score]], np.float32), {}))
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted, answer.abstained) == (("a",), accepted, not accepted)


@pytest.mark.parametrize(
    ("labels", "activation"),
    [
        (("a", "b"), Activation.SOFTMAX),
        (("a",), Activation.NONE),
        (("a", "b"), Activation.NONE),
    ],
)
def test_softmax_labels_are_not_independent(labels: tuple[str, ...], activation: Activation) -> None:
    """The best label is the answer, whatever its score, and top_k labels are reported."""
    task = task_for(replace(DESCRIPTION, labels=labels, activation=activation, top_k=1))
    prepared = task.prepare([Request("good")])
    assert prepared.width == 1
    (answer,) = prepared.answers(ScoredSequences(np.array([[0]], np.int32), np.array([[0.1]], np.float32), {}))
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted, answer.abstained) == (("a",), None, False)


def test_answer_knows_the_order_of_the_model() -> None:
    requests = [Request("good"), Request("bad", top_k=1), Request("good", top_k=99)]
    plain = task_for(DESCRIPTION).prepare(requests).answers(scored_of(3, 3))
    found = task_for(replace(DESCRIPTION, in_model_order=True)).prepare(requests).answers(scored_of(3, 3))
    for answer, other in zip(found, plain, strict=True):
        assert isinstance(answer, Prediction)
        assert answer._replace(order=None) == other
        assert answer.order is not None
        in_order = [answer.labels[place] for place in answer.order]
        assert in_order == sorted(answer.labels)


def with_functions(texts: Sequence[str]) -> list[Request]:
    """The texts with each function in turn, and without."""
    functions = (None, *Activation)
    return [Request(text, function_to_apply=functions[i % len(functions)]) for i, text in enumerate(texts)]


def assert_scored(folder: Path, requests: list[Request], answers: list[Any], own: str) -> None:
    pipeline = transformers.pipeline("text-classification", str(folder), dtype=torch.float32, device="cpu")
    for request, answer in zip(requests, answers, strict=True):
        function = request.function_to_apply or own
        expected = pipeline(request.text, top_k=None, truncation=True, function_to_apply=function)
        assert_equal([answer], [expected], 1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("problem_type", "own"), [(None, "softmax"), ("multi_label_classification", "sigmoid"), ("regression", "none")]
)
def test_functions_equal_the_pipelines(tmp_path: Path, problem_type: str | None, own: str, backend: str) -> None:
    folder = build(tmp_path / "model", "bert", labels=("a", "b", "c"), problem_type=problem_type)
    requests = with_functions([*TEXTS, *ODD_TEXTS])
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "backend": backend, "top_k": None}
    with Engine.load(folder, max_batch_tokens=256, **options) as engine:
        together, alone = engine.classify(requests), [engine.classify([request])[0] for request in requests]
    assert_scored(folder, requests, together, own)
    assert_scored(folder, requests, alone, own)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_temperature_divides_the_logits_of_transformers(tmp_path: Path, problem_type: str, backend: str) -> None:
    folder = build(tmp_path / "model", "bert", labels=("a", "b", "c"), problem_type=problem_type)
    pipeline = transformers.pipeline("text-classification", str(folder), dtype=torch.float32, device="cpu")
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "backend": backend, "top_k": None}
    with Engine.load(folder, temperature=2.5, **options) as engine:
        own = engine.classify([Request(text) for text in TEXTS])
        raw = raw_of(engine, list(TEXTS))
    for text, scores, logits in zip(TEXTS, own, raw, strict=True):
        expected = pipeline(text, top_k=None, truncation=True, function_to_apply="none")
        assert_equal([logits], [expected], 1e-5)
        powers = np.exp([row["score"] / 2.5 for row in expected])
        divided = powers / powers.sum() if problem_type.startswith("single") else powers / (1 + powers)
        named = [{"label": row["label"], "score": float(p)} for row, p in zip(expected, divided, strict=True)]
        assert_equal([scores], [named], 1e-5)


def test_temperature_holds_for_each_window_before_the_mean(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", labels=("a", "b", "c"))
    text = " ".join(TEXTS[:6])
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "top_k": None, "temperature": 3.0}
    with Engine.load(folder, max_length=32, **options) as engine:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        windows = tokenizer(text, max_length=32, stride=8, truncation=True, return_overflowing_tokens=True).input_ids
        texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in windows]
        answers = engine.classify([Request(part) for part in texts])
    with Engine.load(folder, max_length=32, long_text="windows", **options) as engine:
        (whole,) = engine.classify([Request(text)])
    assert isinstance(whole, Prediction)
    parts = [dict(zip(a.labels, a.scores, strict=True)) for a in answers if isinstance(a, Prediction)]
    assert len(parts) == len(texts) > 2
    for label, score in zip(whole.labels, whole.scores, strict=True):
        assert score == pytest.approx(sum(part[label] for part in parts) / len(parts), abs=1e-5)


@pytest.mark.parametrize("how", ["mean", "max"])
def test_functions_of_windows_are_aggregated(tmp_path: Path, how: str) -> None:
    folder = build(tmp_path / "model", labels=("a", "b", "c"))
    text = " ".join(TEXTS[:6])
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "top_k": None}
    with Engine.load(folder, max_length=32, **options) as engine:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        windows = tokenizer(text, max_length=32, stride=8, truncation=True, return_overflowing_tokens=True).input_ids
        texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in windows]
        by_window = [dict(zip(a.labels, a.scores, strict=True)) for a in raw_of(engine, texts)]
    with Engine.load(folder, max_length=32, long_text="windows", aggregate=how, **options) as engine:
        raw, plain = engine.classify([Request(text, function_to_apply="none"), Request(text)])
    assert isinstance(raw, Prediction)
    assert isinstance(plain, Prediction)
    assert sum(plain.scores) == pytest.approx(1.0) if how == "mean" else sum(plain.scores) >= 1.0
    for label, score in zip(raw.labels, raw.scores, strict=True):
        logits = [scores[label] for scores in by_window]
        expected = max(logits) if how == "max" else sum(logits) / len(logits)
        assert score == pytest.approx(expected, abs=1e-5)


def raw_of(engine: Engine, texts: list[str]) -> list[Prediction]:
    answers = engine.classify([Request(text, function_to_apply="none") for text in texts])
    return [answer for answer in answers if isinstance(answer, Prediction)]


def test_thresholds_leave_other_functions_alone() -> None:
    task = task_for(replace(DESCRIPTION, labels=("a", "b"), activation=Activation.SIGMOID, threshold=0.7, top_k=1))
    prepared = task.prepare([Request("good"), Request("good", function_to_apply="none")])
    assert prepared.packed.scorings == {1: Scoring(Activation.NONE)}
    scored = ScoredSequences(np.array([[1, 0]] * 2, np.int32), np.array([[0.9, 0.8], [2.2, 1.4]], np.float32), {})
    own, raw = prepared.answers(scored)
    assert isinstance(own, Prediction)
    assert isinstance(raw, Prediction)
    assert (own.labels, own.accepted) == (("b", "a"), ("b", "a"))
    assert (raw.labels, raw.scores, raw.accepted) == (("b",), (pytest.approx(2.2),), None)


def test_own_function_needs_no_scoring() -> None:
    prepared = TASK.prepare([Request("good", function_to_apply="softmax"), Request("bad", top_k=1)])
    assert prepared.packed.scorings is None


def test_unknown_function_is_refused() -> None:
    prepared = TASK.prepare([Request("good", function_to_apply="tanh"), Request("good")])
    assert {i: error.message for i, error in prepared.rejected.items()} == {
        0: "function_to_apply must be one of softmax, sigmoid, none"
    }
