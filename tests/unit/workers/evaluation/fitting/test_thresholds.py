"""Thresholds reach their target on the texts they were chosen on, and are monotone in the target."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from labelstream.workers.evaluation.fitting.outcome import accepted_labels, outcome
from labelstream.workers.evaluation.fitting.targets import Metric, Target
from labelstream.workers.evaluation.fitting.thresholds import candidates_of, choose_thresholds
from labelstream.workers.evaluation.predictions import Kind, Predictions
from tests.support.made_predictions import made_predictions

KINDS = st.sampled_from([Kind.SINGLE_LABEL, Kind.MULTI_LABEL])
VALUES = st.sampled_from([0.3, 0.5, 0.7, 0.8, 0.9, 0.95])


def value_of(made: Predictions, label: str, threshold: float, metric: Metric) -> float:
    """The metric of the engine's decisions with this threshold, and with no other label accepted."""
    thresholds = dict.fromkeys(made.labels, 1.1) | {label: threshold}
    found = outcome(made, accepted_labels(made, thresholds)).labels[made.labels.index(label)]
    if metric is Metric.F1:
        return found.f1 or 0.0
    return getattr(found, metric).share


@given(KINDS, st.integers(2, 4), st.sampled_from(Metric), VALUES, st.integers(0, 99), st.booleans())
def test_threshold_reaches_the_target_where_it_was_chosen(
    kind: Kind, k: int, metric: Metric, value: float, seed: int, ties: bool
) -> None:
    made = made_predictions(n=200, k=k, kind=kind, seed=seed)
    if ties:
        made = replace(made, scores=made.scores.round(1))
    for one in choose_thresholds(made, Target(metric, value)):
        if one.threshold is None:
            assert one.problem
            continue
        assert 0 <= one.threshold <= 1
        assert one.reached is not None
        assert one.reached >= value
        assert value_of(made, one.label, one.threshold, metric) == pytest.approx(one.reached, abs=1e-12)


@given(KINDS, st.sampled_from([Metric.PRECISION, Metric.RECALL, Metric.COVERAGE]), st.integers(0, 99))
def test_thresholds_are_monotone_in_the_target(kind: Kind, metric: Metric, seed: int) -> None:
    made = made_predictions(n=300, kind=kind, seed=seed)
    found = [choose_thresholds(made, Target(metric, value)) for value in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)]
    for of_label in zip(*found, strict=True):
        thresholds = [one.threshold for one in of_label if one.threshold is not None]
        assert thresholds == sorted(thresholds, reverse=metric is not Metric.PRECISION)
        missing = [one.threshold is None for one in of_label]
        assert missing == sorted(missing)  # a target above one out of reach is out of reach


@given(st.integers(0, 99), st.booleans())
def test_candidates_equal_scikit_learns_curve(seed: int, ties: bool) -> None:
    made = made_predictions(n=100, kind=Kind.MULTI_LABEL, seed=seed)
    if ties:
        made = replace(made, scores=made.scores.round(2))
    for label in range(3):
        found = candidates_of(made, label)
        if not found.positives:
            continue
        precision, recall, thresholds = precision_recall_curve(made.gold[:, label], made.scores[:, label])
        assert found.scores[::-1] == pytest.approx(thresholds)
        assert found.values(Metric.PRECISION)[::-1] == pytest.approx(precision[:-1], abs=1e-12)
        assert found.values(Metric.RECALL)[::-1] == pytest.approx(recall[:-1], abs=1e-12)


def two_labels(scores: list[float], right: list[bool]) -> Predictions:
    """Texts whose best label is a, with these scores."""
    made = made_predictions(n=len(scores), k=2)
    values = np.array([[score, 1 - score] for score in scores])
    return replace(made, scores=values, gold=np.array([0 if hit else 1 for hit in right]))


def test_precision_takes_the_lowest_threshold() -> None:
    scores = [0.9] * 25 + [0.8] * 5 + [0.7] * 10
    made = two_labels(scores, [True] * 25 + [False] * 5 + [True] * 10)
    a, b = choose_thresholds(made, Target(Metric.PRECISION, 0.87))
    assert (a.threshold, a.reached, a.texts) == (0.0, 35 / 40, 40)
    assert (b.threshold, b.problem) == (None, "0 texts whose best label it is; precision=0.87 needs 20")
    (a, _) = choose_thresholds(made, Target(Metric.PRECISION, 0.95))
    assert (a.threshold, a.reached, a.texts) == (0.85, 1.0, 25)


def test_target_out_of_reach_names_the_best() -> None:
    made = two_labels([0.9] * 30, [True] * 20 + [False] * 10)
    a, _ = choose_thresholds(made, Target(Metric.PRECISION, 0.9))
    assert (a.threshold, a.reached) == (None, pytest.approx(2 / 3))
    assert a.problem == "precision=0.9 is out of reach; the best is 0.667"


def test_coverage_takes_the_highest_threshold() -> None:
    made = two_labels([0.99 - i / 100 for i in range(40)], [True] * 40)
    a, _ = choose_thresholds(made, Target(Metric.COVERAGE, 0.5))
    assert (a.threshold, a.reached, a.texts) == (0.795, 0.5, 40)


def test_f1_takes_the_best_threshold() -> None:
    made = replace(made_predictions(n=60, k=1, kind=Kind.MULTI_LABEL), gold=np.arange(60)[:, None] < 30)
    made = replace(made, scores=np.array([[0.9]] * 25 + [[0.4]] * 10 + [[0.2]] * 25))
    (found,) = choose_thresholds(made, Target(Metric.F1, 0.5))
    assert (found.threshold, found.reached) == (0.3, pytest.approx(60 / 65))


def test_close_scores_are_cut_between_them() -> None:
    made = two_labels([0.9999995] * 30 + [0.9999994] * 30, [True] * 30 + [False] * 30)
    a, _ = choose_thresholds(made, Target(Metric.PRECISION, 0.9))
    assert a.threshold is not None
    assert 0.9999994 < a.threshold <= 0.9999995
