"""Metrics of numbers equal scipy's and scikit-learn's."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from labelstream.workers.evaluation.metrics import bootstrap, regression
from tests.support.evaluated import regression as drawn


def test_measure_equals_scipy_and_scikit_learn() -> None:
    predictions = drawn()
    gold, scores = predictions.gold, predictions.scores
    error = metrics.mean_squared_error(gold, scores)
    wanted = {
        "eval_pearson": stats.pearsonr(gold, scores)[0],
        "eval_spearmanr": stats.spearmanr(gold, scores)[0],
        "eval_rmse": np.sqrt(error),
        "eval_mae": metrics.mean_absolute_error(gold, scores),
        "eval_mse": error,
        "eval_loss": error,
    }
    assert regression.measure(predictions).values == pytest.approx(wanted, abs=1e-9)


def test_resampled_metrics_equal_scipy_for_each_resample() -> None:
    predictions = drawn(n=40)
    found = regression.resampled(predictions, 20, seed=5)
    (counts,) = bootstrap.counts(40, 20, seed=5)
    for i, numbers in enumerate(counts.astype(int)):
        gold, scores = np.repeat(predictions.gold, numbers), np.repeat(predictions.scores, numbers)
        assert found["pearson"][i] == pytest.approx(stats.pearsonr(gold, scores)[0], abs=1e-9)
        assert found["spearmanr"][i] == pytest.approx(stats.spearmanr(gold, scores)[0], abs=1e-9)
        assert found["rmse"][i] == pytest.approx(np.sqrt(metrics.mean_squared_error(gold, scores)), abs=1e-9)
        assert found["mae"][i] == pytest.approx(metrics.mean_absolute_error(gold, scores), abs=1e-9)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"gold": np.full(300, 2.5)}, "all targets are 2.5"),
        ({"scores": np.full(300, 1.5)}, "the model gives 1.5 for each text"),
    ],
    ids=["targets", "scores"],
)
def test_correlation_of_constant_numbers_is_undefined(changed: dict[str, np.ndarray], why: str) -> None:
    predictions = replace(drawn(), **changed)
    found = regression.measure(predictions)
    assert found.undefined == {"eval_pearson": why, "eval_spearmanr": why}
    resampled = regression.resampled(predictions, 5, seed=0)
    assert np.isnan(resampled["pearson"]).all()
    assert np.isnan(resampled["spearmanr"]).all()


def test_correlation_of_one_text_is_undefined() -> None:
    assert regression.measure(drawn(n=1)).undefined["eval_pearson"] == "a correlation needs two texts"
