"""Metrics of labels that do not exclude each other."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.metrics import bootstrap
from labelstream.workers.evaluation.metrics.measurement import Measurement
from labelstream.workers.evaluation.metrics.precision_recall import averaged, label_metrics
from labelstream.workers.evaluation.metrics.ranking import add_ranking, ranking_of
from labelstream.workers.evaluation.predictions import Predictions

THRESHOLD = 0.5  # if the stream's decisions are not known


def decisions(predictions: Predictions) -> NDArray[np.bool_]:
    """[n, k]: the labels that the stream accepts, by the model's thresholds or 0.5."""
    return predictions.scores >= THRESHOLD if predictions.accepted is None else predictions.accepted


def measure(predictions: Predictions) -> Measurement:
    """All metrics without intervals. `loss` is the binary cross-entropy, averaged over texts and labels."""
    gold, predicted = predictions.gold, decisions(predictions)
    measured = Measurement()
    for name, value in _of_sums(_features(predictions).sum(0)[None], len(gold)).items():
        measured.add(name, value[0])
    hits, true, chosen = (gold & predicted).sum(0), gold.sum(0), predicted.sum(0)
    ranking = ranking_of(gold, predictions.scores)
    measured.per_label = label_metrics(predictions.labels, hits, true, chosen, ranking)
    add_ranking(measured)
    return measured


def resampled(predictions: Predictions, resamples: int, seed: int) -> Mapping[str, NDArray[np.float64]]:
    """The metrics of each resample, [resamples] each."""
    features, n = _features(predictions), len(predictions)
    sums = np.concatenate([block @ features for block in bootstrap.counts(n, resamples, seed)])
    return _of_sums(sums, n)


def _features(predictions: Predictions) -> NDArray[np.float64]:
    """[n, 3k + 3]: for `_of_sums`. Per label: hit, true, predicted; exact match, wrong labels and loss."""
    gold, predicted = predictions.gold, decisions(predictions)
    exact, wrong = (gold == predicted).all(1), (gold != predicted).mean(1)
    loss = losses(predictions).mean(1)
    return np.column_stack([gold & predicted, gold, predicted, exact, wrong, loss]).astype(np.float64)


def _of_sums(sums: NDArray[np.float64], n: int) -> Mapping[str, NDArray[np.float64]]:
    """The metrics of each resample of `n` texts, from the sums of `_features`."""
    k = (sums.shape[1] - 3) // 3
    return {
        "exact_match": sums[:, -3] / n,
        "hamming_loss": sums[:, -2] / n,
        **averaged(sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k : 3 * k], every_label=True),
        "loss": sums[:, -1] / n,
    }


def losses(predictions: Predictions) -> NDArray[np.float64]:
    """[n, k]: the binary cross-entropy of each label, with scores clipped as scikit-learn's `log_loss` clips them."""
    least = np.finfo(np.float64).eps
    scores = np.clip(predictions.scores, least, 1 - least)
    return -np.where(predictions.gold, np.log(scores), np.log1p(-scores))
