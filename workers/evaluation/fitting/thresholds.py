"""Chooses for each label the threshold that reaches a target on labeled texts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.fitting.targets import Metric, Target
from labelstream.workers.evaluation.predictions import Kind, Predictions


class LabelThreshold(NamedTuple):
    """`threshold`: None if there is none; `problem` then says why. `reached`: the metric's value on these texts.

    `texts`: number of texts that the metric is a share of: of precision those with the accepted label, of recall and F1
    those of the label, of coverage those whose best label it is.
    """

    label: str
    threshold: float | None
    reached: float | None
    texts: int
    problem: str = ""


class Candidates(NamedTuple):
    """The places where a label can be cut, by descending score. Arrays of one value for each different score.

    `scores`: the lowest accepted score. `accepted`, `hits`: accepted texts, and those of them that have the label.
    `best`: accepted texts whose best label it is. `positives`, `all_best`: all texts that have the label, and all texts
    whose best label it is.
    """

    scores: NDArray[np.float64]
    accepted: NDArray[np.int64]
    hits: NDArray[np.int64]
    best: NDArray[np.int64]
    positives: int
    all_best: int

    def values(self, metric: Metric) -> NDArray[np.float64]:
        """The metric at each place; 0 where there is nothing to count."""
        precision, recall = self.hits / np.maximum(1, self.accepted), self.hits / max(1, self.positives)
        if metric is Metric.PRECISION:
            return precision
        if metric is Metric.RECALL:
            return recall
        if metric is Metric.F1:
            return 2 * self.hits / np.maximum(1, self.accepted + self.positives)
        return self.best / max(1, self.all_best)

    def texts(self, metric: Metric) -> NDArray[np.int64]:
        """The number of texts that the metric is a share of, at each place."""
        if metric is Metric.PRECISION:
            return self.accepted
        return np.full(len(self.scores), self.all_best if metric is Metric.COVERAGE else self.positives)


def choose_thresholds(predictions: Predictions, target: Target) -> tuple[LabelThreshold, ...]:
    """A threshold for each label, or the reason why there is none.

    - Precision: the lowest threshold that reaches the target, so that the model abstains as seldom as possible.
    - Recall, coverage: the highest threshold that reaches the target.
    - F1: the threshold with the best F1, if that reaches the target.
    """
    return tuple(
        _choose(label, candidates_of(predictions, i), target, predictions.kind is Kind.SINGLE_LABEL)
        for i, label in enumerate(predictions.labels)
    )


def candidates_of(predictions: Predictions, label: int) -> Candidates:
    """The texts that may be accepted for `label`: of exclusive labels those whose best label it is, else all."""
    best = predictions.scores.argmax(1) == label
    gold = predictions.gold[:, label] if predictions.kind is Kind.MULTI_LABEL else predictions.gold == label
    rows = np.flatnonzero(best) if predictions.kind is Kind.SINGLE_LABEL else np.arange(len(best))
    rows = rows[np.argsort(-predictions.scores[rows, label], kind="stable")]
    scores = predictions.scores[rows, label]
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # equal scores are accepted together
    hits, of_best = np.cumsum(gold[rows]), np.cumsum(best[rows])
    return Candidates(scores[last], last + 1, hits[last], of_best[last], int(gold.sum()), int(best.sum()))


def _choose(label: str, candidates: Candidates, target: Target, exclusive: bool) -> LabelThreshold:
    values, texts = candidates.values(target.metric), candidates.texts(target.metric)
    enough = texts >= target.min_texts
    most = int(texts.max(initial=0))
    if not enough.any():
        counted = {
            Metric.PRECISION: "whose best label it is" if exclusive else "in all",
            Metric.COVERAGE: "whose best label it is",
        }.get(target.metric, "with this label")
        return LabelThreshold(label, None, None, most, f"{most} texts {counted}; {target} needs {target.min_texts}")
    reached = np.flatnonzero(enough & (values >= target.value))
    if not len(reached):
        best = float(values[enough].max())
        return LabelThreshold(label, None, best, most, f"{target} is out of reach; the best is {best:.3f}")
    if target.metric is Metric.PRECISION:
        place = reached[-1]
    elif target.metric is Metric.F1:
        place = reached[values[reached].argmax()]
    else:
        place = reached[0]
    return LabelThreshold(label, _between(candidates, int(place), exclusive), float(values[place]), int(texts[place]))


def _between(candidates: Candidates, place: int, exclusive: bool) -> float:
    """A short number between the lowest accepted score and the next one, so that rounding of scores changes little.

    0 if exclusive labels are always accepted.
    """
    high = float(candidates.scores[place])
    if place + 1 == len(candidates.scores):
        if exclusive:
            return 0.0
        low = 0.0
    else:
        low = float(candidates.scores[place + 1])
    for digits in range(2, 12):
        middle = round((low + high) / 2, digits)
        if low < middle < high:
            return middle
    return high
