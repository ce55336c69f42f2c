"""The reliability curve equals scikit-learn's, and the calibration error follows its definition."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sklearn_loss

from labelstream.workers.evaluation.fitting.reliability import BINS, calibration, decisions, log_loss, reliability_curve
from labelstream.workers.evaluation.predictions import Kind
from tests.support.made_predictions import made_predictions

SCORES = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 1 / 3, 0.2, 0.6]) | st.floats(0, 1), st.booleans()), min_size=1)


@given(SCORES, st.integers(1, 20))
def test_curve_equals_scikit_learns(pairs: list[tuple[float, bool]], bins: int) -> None:
    scores, right = np.array([score for score, _ in pairs]), np.array([hit for _, hit in pairs])
    curve = reliability_curve(scores, right, bins)
    accuracy, confidence = calibration_curve(right, scores, n_bins=bins)
    assert [one.accuracy for one in curve] == pytest.approx(accuracy.tolist(), abs=1e-12)
    assert [one.confidence for one in curve] == pytest.approx(confidence.tolist(), abs=1e-12)
    assert sum(one.size for one in curve) == len(pairs)


def test_error_is_the_weighted_gap_of_the_bins() -> None:
    made = made_predictions(n=4, k=2)
    scores = np.array([[0.9, 0.1], [0.88, 0.12], [0.3, 0.7], [0.4, 0.6]])
    found = calibration(replace(made, scores=scores, gold=np.array([0, 1, 1, 1])))
    assert [one.size for one in found.bins] == [1, 1, 2]
    assert found.ece == pytest.approx((0.4 + 0.3 + 2 * abs(0.5 - 0.89)) / 4)
    assert (found.confidence, found.accuracy) == (pytest.approx(0.77), 0.75)


def test_right_scores_have_a_small_error() -> None:
    good, bad = (calibration(made_predictions(n=20_000, temperature=t)) for t in (1.0, 3.0))
    assert good.ece < 0.02 < 0.1 < bad.ece
    assert good.confidence == pytest.approx(good.accuracy, abs=0.02)


def test_independent_labels_are_decisions_of_their_own() -> None:
    made = made_predictions(n=50, k=4, kind=Kind.MULTI_LABEL)
    scores, right = decisions(made)
    assert (len(scores), scores[5], right[5]) == (200, made.scores[1, 1], made.gold[1, 1])
    assert len(calibration(made).bins) <= BINS


@pytest.mark.parametrize("kind", [Kind.SINGLE_LABEL, Kind.MULTI_LABEL])
def test_log_loss_equals_scikit_learns(kind: Kind) -> None:
    made = made_predictions(kind=kind)
    if kind is Kind.SINGLE_LABEL:
        expected = sklearn_loss(made.gold, made.scores, labels=range(3))
    else:
        expected = np.mean([sklearn_loss(made.gold[:, i], made.scores[:, i]) for i in range(3)])
    assert log_loss(made) == pytest.approx(expected, abs=1e-9)
