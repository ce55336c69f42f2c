"""Metrics of labels that exclude each other, from the confusion matrix and the scores."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.metrics import bootstrap
from labelstream.workers.evaluation.metrics.measurement import Measurement
from labelstream.workers.evaluation.metrics.precision_recall import averaged, label_metrics
from labelstream.workers.evaluation.metrics.ranking import add_ranking, ranking_of
from labelstream.workers.evaluation.predictions import Predictions


def measure(predictions: Predictions) -> Measurement:
    """All metrics without intervals. `loss` is the log loss, which is transformers' cross-entropy."""
    gold, labels = predictions.gold, predictions.labels
    predicted = predictions.scores.argmax(1)
    confusion = confusion_matrix(gold, predicted, len(labels))
    hits, true, chosen = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    measured = Measurement(confusion=confusion)
    for name, value in _of_counts(*(one[None].astype(np.float64) for one in (hits, true, chosen))).items():
        measured.add(name, value[0], _why_undefined(gold, labels))
    measured.add("loss", losses(predictions).mean())
    ranking = ranking_of(gold[:, None] == np.arange(len(labels)), predictions.scores)
    measured.per_label = label_metrics(labels, hits, true, chosen, ranking)
    add_ranking(measured)
    _add_coverage(measured, predictions, predicted)
    return measured


def resampled(predictions: Predictions, resamples: int, seed: int) -> Mapping[str, NDArray[np.float64]]:
    """The metrics of each resample, [resamples] each."""
    k = len(predictions.labels)
    confusion = confusion_matrix(predictions.gold, predictions.scores.argmax(1), k)
    true, predicted = np.nonzero(confusion)
    numbers = bootstrap.cells(confusion[true, predicted], resamples, seed)
    every = np.arange(k)
    is_true, is_predicted = ((one[:, None] == every).astype(np.float64) for one in (true, predicted))
    return {
        **_of_counts(numbers @ (is_true * is_predicted), numbers @ is_true, numbers @ is_predicted),
        "loss": bootstrap.means(losses(predictions), resamples, seed),
    }


def confusion_matrix(gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: int) -> NDArray[np.int64]:
    """[labels, labels]: texts by true label (rows) and predicted label (columns)."""
    return np.bincount(gold * labels + predicted, minlength=labels * labels).reshape(labels, labels)


def losses(predictions: Predictions) -> NDArray[np.float64]:
    """[n]: the negative logarithm of the true label's score, clipped as scikit-learn's `log_loss` clips it."""
    least = np.finfo(np.float64).eps
    scores = predictions.scores[np.arange(len(predictions)), predictions.gold]
    return -np.log(np.clip(scores, least, 1 - least))


def _of_counts(
    hits: NDArray[np.float64], true: NDArray[np.float64], predicted: NDArray[np.float64]
) -> Mapping[str, NDArray[np.float64]]:
    """Metrics of [resamples, k] counts, as in `averaged`. NaN: undefined."""
    n, correct = true.sum(1), hits.sum(1)
    expected = (true * predicted).sum(1)
    spread = (n**2 - (true**2).sum(1)) * (n**2 - (predicted**2).sum(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        matthews = (correct * n - expected) / np.sqrt(spread)
        kappa = (correct * n - expected) / (n**2 - expected)
    return {
        "accuracy": correct / n,
        **averaged(hits, true, predicted),
        "matthews_correlation": np.where(spread > 0, matthews, np.nan),
        "cohen_kappa": np.where(n**2 > expected, kappa, np.nan),
    }


def _why_undefined(gold: NDArray[np.int64], labels: tuple[str, ...]) -> str:
    one = (gold == gold[0]).all()
    return f"all texts have the label {labels[gold[0]]}" if one else "the model predicts one label only"


def _add_coverage(measured: Measurement, predictions: Predictions, predicted: NDArray[np.int64]) -> None:
    """Share of the texts that have an accepted label, and accuracy among these, for a model with thresholds."""
    if predictions.accepted is None:
        return
    kept = predictions.accepted.any(1)
    correct = predicted == predictions.gold
    measured.add("coverage", kept.mean())
    measured.add("accuracy_accepted", correct[kept].mean() if kept.any() else None, "no text has an accepted label")
