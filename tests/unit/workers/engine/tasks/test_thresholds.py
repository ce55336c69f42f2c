"""Which labels of a prediction are accepted, and when the model abstains."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.classifier import Prediction, Request
from labelstream.workers.engine.description import Activation, ModelDescription
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.tasks.thresholds import Acceptance
from labelstream.workers.errors import ModelError
from tests.support.models import TEXTS, build

LABELS = ("a", "b", "c", "d")
PLAIN: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


def acceptance(threshold: float | None = None, **thresholds: float) -> Acceptance:
    return Acceptance(
        ModelDescription(
            "m",
            "r",
            "text-classification",
            LABELS,
            Activation.SIGMOID,
            64,
            1,
            "",
            threshold=threshold,
            thresholds=thresholds,
        )
    )


def prediction(*scores: float) -> Prediction:
    return Prediction(LABELS[: len(scores)], scores, 3, False, "r")


@pytest.mark.parametrize(
    ("rule", "scores", "accepted"),
    [
        (acceptance(0.5), (0.5, 0.2), ("a",)),
        (acceptance(0.5), (0.49, 0.2), ()),
        (acceptance(a=0.9), (0.8, 0.2), ()),
        (acceptance(b=0.9), (0.1, 0.05), ("a",)),
        (acceptance(0.5, a=0.1), (0.2, 0.1), ("a",)),
        (acceptance(0.0), (0.0,), ("a",)),
    ],
)
def test_best_exclusive_label_is_accepted_or_none(
    rule: Acceptance, scores: tuple[float, ...], accepted: tuple[str, ...] | None
) -> None:
    assert rule.of_best(prediction(*scores)).accepted == accepted


@pytest.mark.parametrize(
    ("rule", "top_k", "accepted", "shown"),
    [
        (acceptance(), 1, ("a", "b"), 2),
        (acceptance(), 3, ("a", "b"), 3),
        (acceptance(0.95), 2, (), 2),
        (acceptance(d=0.1), 1, ("a", "b", "d"), 4),
        (acceptance(0.7, a=0.99), 1, (), 1),
    ],
)
def test_independent_labels_are_accepted_separately(
    rule: Acceptance, top_k: int, accepted: tuple[str, ...], shown: int
) -> None:
    decided = rule.of_independent(prediction(0.9, 0.6, 0.4, 0.2), top_k)
    assert (decided.accepted, len(decided.labels), len(decided.scores)) == (accepted, shown, shown)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.floats(0, 1), st.integers(1, 4))
def test_label_at_its_threshold_is_accepted(scores: list[float], threshold: float, top_k: int) -> None:
    every = prediction(*sorted(scores, reverse=True))
    decided = acceptance(threshold).of_independent(every, top_k)
    reached = {label for label, score in zip(every.labels, every.scores, strict=True) if score >= threshold}
    assert set(decided.accepted or ()) == reached <= set(decided.labels)


def test_multi_label_accepts_by_all_scores(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", "bert", labels=LABELS, problem_type="multi_label_classification")
    requests = [Request(text) for text in TEXTS]
    with Engine.load(str(folder), top_k=None, **PLAIN) as engine:
        everything = engine.classify(requests)
    with Engine.load(str(folder), top_k=1, threshold=0.4, thresholds={"a": 0.7}, **PLAIN) as engine:
        few = engine.classify(requests)
    sizes = set()
    for all_of_it, one in zip(everything, few, strict=True):
        assert isinstance(all_of_it, Prediction)
        assert isinstance(one, Prediction)
        wanted = [
            label
            for label, score in zip(all_of_it.labels, all_of_it.scores, strict=True)
            if score >= (0.7 if label == "a" else 0.4)
        ]
        assert list(one.accepted or ()) == wanted
        assert one.labels == all_of_it.labels[: len(one.labels)]
        sizes.add(len(wanted))
    assert len(sizes) > 1


def test_single_label_is_accepted_from_one_half(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", "bert", labels=("toxic",))
    with Engine.load(str(folder), **PLAIN) as engine:
        scores = {answer.scores[0] for answer in _answers(engine)}
        for answer in _answers(engine):
            assert answer.labels == ("toxic",)
            assert answer.accepted == (("toxic",) if answer.scores[0] >= 0.5 else ())
    assert min(scores) < 0.5 <= max(scores)
    with Engine.load(str(folder), threshold=0.0, **PLAIN) as engine:
        assert {answer.accepted for answer in _answers(engine)} == {("toxic",)}
    with Engine.load(str(folder), thresholds={"toxic": 1.0}, **PLAIN) as engine:
        assert {answer.accepted for answer in _answers(engine)} == {()}
    with Engine.load(str(folder), problem_type="regression", **PLAIN) as engine:
        assert {answer.accepted for answer in _answers(engine)} == {None}  # a regression has no label to accept


def _answers(engine: Engine) -> list[Prediction]:
    return [answer for answer in engine.classify([Request(text) for text in TEXTS]) if isinstance(answer, Prediction)]


def test_problem_type_overrides_the_model(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", "bert", labels=LABELS)
    with Engine.load(str(folder), problem_type="multi_label_classification", top_k=None, **PLAIN) as engine:
        (answer,) = engine.classify([Request(TEXTS[0])])
    assert isinstance(answer, Prediction)
    assert sum(answer.scores) != pytest.approx(1)
    assert answer.accepted == tuple(
        label for label, score in zip(answer.labels, answer.scores, strict=True) if score >= 0.5
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"thresholds": {"z": 0.5}}, "thresholds names 'z', which the model does not have; its labels are a, b, c, d"),
        ({"threshold": 0.5, "problem_type": "regression"}, "need scores from 0 to 1"),
    ],
)
def test_contradictory_thresholds_are_refused_at_start(tmp_path: Path, options: dict[str, Any], problem: str) -> None:
    folder = build(tmp_path / "model", "bert", labels=LABELS)
    with pytest.raises(ModelError, match=problem):
        load(str(folder), ModelOptions(**PLAIN, **options))
