"""Accepts the labels of a prediction whose scores reach their thresholds. No torch."""

from labelstream.workers.classifier import Prediction
from labelstream.workers.engine.description import ModelDescription

INDEPENDENT_THRESHOLD = 0.5  # default for labels that do not exclude each other: more likely than not


class Acceptance:
    """The thresholds of one model. `is_set`: whether the options set any threshold."""

    def __init__(self, description: ModelDescription) -> None:
        self._threshold, self._by_label = description.threshold, dict(description.thresholds)
        self.is_set = self._threshold is not None or bool(self._by_label)

    def of_best(self, prediction: Prediction) -> Prediction:
        """Accept the best of labels that exclude each other, or none."""
        best = prediction.labels[0]
        accepted = prediction.scores[0] >= self._by_label.get(best, self._threshold or 0.0)
        return prediction._replace(accepted=(best,) if accepted else ())

    def of_independent(self, prediction: Prediction, top_k: int) -> Prediction:
        """Accept all independent labels whose scores reach their thresholds.

        `prediction`: with all labels. The result has the `top_k` best labels, or more if more are accepted.
        """
        default = INDEPENDENT_THRESHOLD if self._threshold is None else self._threshold
        labels, scores = prediction.labels, prediction.scores
        rows = [i for i, label in enumerate(labels) if scores[i] >= self._by_label.get(label, default)]
        shown = max(top_k, rows[-1] + 1 if rows else 0)
        return prediction._replace(
            labels=labels[:shown], scores=scores[:shown], accepted=tuple(labels[i] for i in rows)
        )
