"""What thresholds do to texts: which labels are accepted, how often the model abstains, and how often it is right."""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.tasks.thresholds import INDEPENDENT_THRESHOLD
from labelstream.workers.evaluation.predictions import Kind, Predictions

_Z = 1.959964  # of an interval with 95%


class Proportion(NamedTuple):
    """`part` of `total`, with the interval that holds the true share in 95 of 100 cases (Wilson 1927)."""

    part: int
    total: int

    @property
    def share(self) -> float | None:
        """None without a total."""
        return self.part / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        if not self.total:
            return 0.0, 1.0
        n, p = self.total, self.part / self.total
        center, spread = p + _Z**2 / (2 * n), _Z * sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
        scale = 1 + _Z**2 / n
        return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


class LabelOutcome(NamedTuple):
    """`precision`: of the texts with the accepted label. `recall`: of the texts that have the label.

    `coverage`: accepted texts of those whose best label it is.
    """

    label: str
    precision: Proportion
    recall: Proportion
    coverage: Proportion

    @property
    def f1(self) -> float | None:
        """None if no text has the label, accepted or true."""
        both = self.precision.total + self.recall.total
        return 2 * self.precision.part / both if both else None


class Outcome(NamedTuple):
    """`abstained`: texts without an accepted label. `right`: of the accepted texts, those with the right labels."""

    abstained: Proportion
    right: Proportion
    labels: tuple[LabelOutcome, ...]


def accepted_labels(
    predictions: Predictions, thresholds: Mapping[str, float], threshold: float | None = None
) -> NDArray[np.bool_]:
    """[n, k] bool: the labels that the engine accepts with the keys `thresholds` and `threshold` of a model."""
    exclusive = predictions.kind is Kind.SINGLE_LABEL
    default = threshold if threshold is not None else 0.0 if exclusive else INDEPENDENT_THRESHOLD
    least = np.array([thresholds.get(label, default) for label in predictions.labels])
    accepted = predictions.scores >= least
    if exclusive:
        accepted &= np.arange(len(least)) == predictions.scores.argmax(1)[:, None]
    return accepted


def outcome(predictions: Predictions, accepted: NDArray[np.bool_]) -> Outcome:
    """What `accepted` [n, k] does to the predictions."""
    gold = predictions.gold
    if predictions.kind is Kind.SINGLE_LABEL:
        gold = gold[:, None] == np.arange(len(predictions.labels))
    best = predictions.scores.argmax(1)
    answered = accepted.any(1)
    right = np.all(accepted == gold, axis=1) & answered
    labels = []
    for i, label in enumerate(predictions.labels):
        hits, of_best = int((accepted[:, i] & gold[:, i]).sum()), best == i
        labels.append(
            LabelOutcome(
                label,
                Proportion(hits, int(accepted[:, i].sum())),
                Proportion(hits, int(gold[:, i].sum())),
                Proportion(int(accepted[of_best, i].sum()), int(of_best.sum())),
            )
        )
    total, count = len(gold), int(answered.sum())
    return Outcome(Proportion(total - count, total), Proportion(int(right.sum()), count), tuple(labels))
