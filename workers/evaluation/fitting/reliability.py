"""How well scores agree with the share of right labels: the reliability curve and the expected calibration error."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.metrics import multi_label, single_label
from labelstream.workers.evaluation.predictions import Kind, Predictions

BINS = 15  # as in Guo et al. 2017, "On Calibration of Modern Neural Networks"


class Bin(NamedTuple):
    """Decisions with a score from `low` to `high`: how many, their mean score, and the share that is right."""

    low: float
    high: float
    size: int
    confidence: float
    accuracy: float


class Calibration(NamedTuple):
    """`bins`: those with decisions, in ascending order. `ece`: expected calibration error, 0 to 1. `loss`: log loss.

    `confidence`: mean score of the decisions. `accuracy`: share of right decisions.
    """

    bins: tuple[Bin, ...]
    ece: float
    loss: float
    confidence: float
    accuracy: float


def calibration(predictions: Predictions) -> Calibration:
    """The calibration of n >= 1 predictions with labels.

    The expected calibration error (Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning"; here with the bins of Guo et al. 2017) is the mean of |accuracy - confidence| over `BINS` bins of equal
    width, weighted by their sizes.
    """
    scores, right = decisions(predictions)
    bins = reliability_curve(scores, right)
    error = sum(one.size * abs(one.accuracy - one.confidence) for one in bins) / len(scores)
    return Calibration(bins, error, log_loss(predictions), float(scores.mean()), float(right.mean()))


def decisions(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores with whether each is of a right label: the best label of each text; of independent labels every one."""
    scores, gold = predictions.scores, predictions.gold
    if predictions.kind is Kind.MULTI_LABEL:
        return scores.ravel(), gold.ravel().astype(np.bool_)
    return scores.max(1), scores.argmax(1) == gold


def reliability_curve(scores: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> tuple[Bin, ...]:
    """The bins with at least one score, as scikit-learn's `calibration_curve` makes them, with their counts."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.searchsorted(edges[1:-1], scores)
    counts = np.bincount(place, minlength=bins)
    confidence = np.bincount(place, scores, bins)
    accuracy = np.bincount(place, right, bins)
    return tuple(
        Bin(float(edges[i]), float(edges[i + 1]), int(n), float(confidence[i] / n), float(accuracy[i] / n))
        for i, n in enumerate(counts)
        if n
    )


def log_loss(predictions: Predictions) -> float:
    """The mean of -log(score of the right label); of independent labels over all texts and labels."""
    metrics = multi_label if predictions.kind is Kind.MULTI_LABEL else single_label
    return float(metrics.losses(predictions).mean())
