"""Compares two models' predictions for the same texts: McNemar's exact test, and the texts on which they differ."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.metrics.multi_label import decisions
from labelstream.workers.evaluation.predictions import Kind, Predictions


class Comparison(NamedTuple):
    """`differ`: rows for which the models predict different labels.

    `only_first`, `only_second`: texts for which only one of the models is right. `p_value`: of McNemar's exact test,
    that models of equal accuracy differ by this much or more; None for regression.
    """

    differ: NDArray[np.int64]
    only_first: int
    only_second: int
    p_value: float | None


def compare(first: Predictions, second: Predictions) -> Comparison:
    """Both predictions are of the same texts, in the same order. Labels are compared by name, in any case.

    A regression has no labels: the models differ in a text if their numbers differ by more than 1e-6.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} predictions do not belong together")
    if Kind.REGRESSION in (first.kind, second.kind):
        differ = np.flatnonzero(abs(first.scores - second.scores) > 1e-6) if first.kind is second.kind else ()
        return Comparison(np.array(differ, np.int64), 0, 0, None)
    exact = any(len(set(map(str.casefold, one.labels))) < len(one.labels) for one in (first, second))
    labels = [[_comparable(label, exact) for label in predicted_labels(one)] for one in (first, second)]
    differ = np.flatnonzero([a != b for a, b in zip(*labels, strict=True)])
    right, too = is_right(first), is_right(second)
    only_first, only_second = int((right & ~too).sum()), int((too & ~right).sum())
    return Comparison(differ, only_first, only_second, mcnemar(only_first, only_second))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of the exact test: among the texts that one model alone gets right, each is as likely."""
    from scipy.stats import binomtest

    if not only_first + only_second:
        return 1.0
    return float(binomtest(min(only_first, only_second), only_first + only_second, 0.5).pvalue)


def is_right(predictions: Predictions) -> NDArray[np.bool_]:
    """[n]: whether the predicted label is the true one; of independent labels, whether all are."""
    if predictions.kind is Kind.SINGLE_LABEL:
        return predictions.scores.argmax(1) == predictions.gold
    return (decisions(predictions) == predictions.gold).all(1)


def predicted_labels(predictions: Predictions) -> Sequence[object]:
    """What the model predicts for each text: a label, a tuple of independent labels, or a number."""
    if predictions.kind is Kind.REGRESSION:
        return predictions.scores.tolist()
    if predictions.kind is Kind.SINGLE_LABEL:
        return [predictions.labels[i] for i in predictions.scores.argmax(1)]
    return _names(decisions(predictions), predictions.labels)


def true_labels(predictions: Predictions) -> Sequence[object]:
    """The true labels in the same form as `predicted_labels`."""
    if predictions.kind is Kind.REGRESSION:
        return predictions.gold.tolist()
    if predictions.kind is Kind.SINGLE_LABEL:
        return [predictions.labels[i] for i in predictions.gold]
    return _names(predictions.gold, predictions.labels)


def _comparable(label: object, exact: bool) -> frozenset[str]:
    """One or several predicted labels without their order; without their case unless `exact`."""
    names = map(str, label if isinstance(label, tuple) else (label,))
    return frozenset(names if exact else map(str.casefold, names))


def _names(chosen: NDArray[np.bool_], labels: Sequence[str]) -> list[object]:
    return [tuple(label for label, one in zip(labels, row, strict=True) if one) for row in chosen.tolist()]
