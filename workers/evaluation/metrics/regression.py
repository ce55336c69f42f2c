"""Metrics of numbers in place of labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.metrics import bootstrap
from labelstream.workers.evaluation.metrics.measurement import Measurement
from labelstream.workers.evaluation.predictions import Predictions


def measure(predictions: Predictions) -> Measurement:
    """All metrics without intervals. `loss` is the mean squared error, as in transformers."""
    from scipy import stats
    from sklearn import metrics

    gold, scores = predictions.gold, predictions.scores
    measured, why = Measurement(), _why_constant(gold, scores)
    for name, correlate in (("pearson", stats.pearsonr), ("spearmanr", stats.spearmanr)):
        found: Any = None if why else correlate(gold, scores)
        measured.add(name, None if why else found.statistic, why)
    measured.add("rmse", metrics.root_mean_squared_error(gold, scores))
    measured.add("mae", metrics.mean_absolute_error(gold, scores))
    error = metrics.mean_squared_error(gold, scores)
    measured.add("mse", error)
    measured.add("loss", error)
    return measured


def resampled(predictions: Predictions, resamples: int, seed: int) -> Mapping[str, NDArray[np.float64]]:
    """The metrics of each resample, [resamples] each."""
    features, n = _features(predictions), len(predictions)
    sums, spearman = [], []
    for block in bootstrap.counts(n, resamples, seed):
        sums.append(block @ features)
        spearman.append(_spearman(block, predictions))
    return {**_of_sums(np.concatenate(sums), n), "spearmanr": np.concatenate(spearman)}


def _features(predictions: Predictions) -> NDArray[np.float64]:
    """[n, 7]: for `_of_sums`. Both numbers, their squares and product, and the squared and absolute error."""
    x = predictions.gold - predictions.gold.mean()  # moments of centered numbers lose no digits
    y = predictions.scores - predictions.scores.mean()
    error = predictions.gold - predictions.scores
    return np.column_stack([x, y, x * x, y * y, x * y, error**2, abs(error)])


def _of_sums(sums: NDArray[np.float64], n: int) -> Mapping[str, NDArray[np.float64]]:
    """The metrics of each resample of `n` texts, from the sums of `_features`."""
    means = sums / n
    return {
        "pearson": _correlation(means[:, :5]),
        "rmse": np.sqrt(means[:, 5]),
        "mse": means[:, 5],
        "mae": means[:, 6],
        "loss": means[:, 5],
    }


def _spearman(counts: NDArray[np.float64], predictions: Predictions) -> NDArray[np.float64]:
    """Spearman's correlation of each resample, from [resamples, n] `counts`."""
    x, y = _ranks(counts, predictions.gold), _ranks(counts, predictions.scores)
    n = counts.shape[1]
    x, y = x - (n + 1) / 2, y - (n + 1) / 2
    moments = [(counts * one).sum(1) / n for one in (x, y, x * x, y * y, x * y)]
    return _correlation(np.column_stack(moments))


def _ranks(counts: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[resamples, n]: the rank of each value among its resample; equal values share their mean rank."""
    _, groups = np.unique(values, return_inverse=True)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)
    ranks = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
    return ranks[:, groups]


def _correlation(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, xx, yy, xy = moments.T
    spread = (xx - x * x) * (yy - y * y)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-24, (xy - x * y) / np.sqrt(spread), np.nan)


def _why_constant(gold: NDArray[np.float64], scores: NDArray[np.float64]) -> str:
    """Why correlations are undefined; empty if they are not."""
    if len(gold) < 2:
        return "a correlation needs two texts"
    if (gold == gold[0]).all():
        return f"all targets are {gold[0]:g}"
    return f"the model gives {scores[0]:g} for each text" if (scores == scores[0]).all() else ""
