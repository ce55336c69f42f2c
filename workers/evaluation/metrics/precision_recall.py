"""Precision, recall and F1 from counts per label, of each label, and of many resamples at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.metrics.measurement import LabelMetrics
from labelstream.workers.evaluation.metrics.ranking import Ranking

Counts = NDArray[np.float64]


def averaged(
    hits: Counts, true: Counts, predicted: Counts, every_label: bool = False
) -> Mapping[str, NDArray[np.float64]]:
    """precision_macro to f1_weighted of each resample, by the rules of scikit-learn with `zero_division=0`.

    `hits`, `true`, `predicted`: [resamples, k], texts per label that have the label and are predicted to, that have the
    label, and that are predicted to. `every_label`: whether labels without any text and prediction count for macro
    averages, as scikit-learn counts them for labels that do not exclude each other.
    """
    found: dict[str, NDArray[np.float64]] = {}
    occurs = every_label | (true > 0) | (predicted > 0)
    for name, (part, whole) in _shares(hits, true, predicted).items():
        of_labels = ratio(part, whole)
        found[f"{name}_macro"] = ratio((of_labels * occurs).sum(1), occurs.sum(1))
        found[f"{name}_micro"] = ratio(part.sum(1), whole.sum(1))
        found[f"{name}_weighted"] = ratio((of_labels * true).sum(1), true.sum(1))
    return found


def _shares(hits: Any, true: Any, predicted: Any) -> dict[str, tuple[Any, Any]]:
    """Each metric as a part and its whole."""
    return {"precision": (hits, predicted), "recall": (hits, true), "f1": (2 * hits, true + predicted)}


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """`part / whole`; 0 where `whole` is 0."""
    return np.divide(part, whole, out=np.zeros_like(part, np.float64), where=whole > 0)


def label_metrics(
    labels: Sequence[str],
    hits: NDArray[Any],
    true: NDArray[Any],
    predicted: NDArray[Any],
    ranking: Sequence[Ranking],
) -> list[LabelMetrics]:
    """The metrics of each label, from [k] counts as in `averaged`."""
    precision, recall, f1 = (ratio(part, whole) for part, whole in _shares(hits, true, predicted).values())
    return [
        LabelMetrics(
            label, float(precision[i]), float(recall[i]), float(f1[i]), int(true[i]), int(predicted[i]), *ranks
        )
        for i, (label, ranks) in enumerate(zip(labels, ranking, strict=True))
    ]
