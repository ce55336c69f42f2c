"""ROC AUC and average precision: how well the scores of a label rank the texts."""

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.metrics.measurement import Measurement

Ranking = tuple[float | None, float | None]


def ranking_of(gold: NDArray[np.bool_], scores: NDArray[np.float64]) -> list[Ranking]:
    """ROC AUC and average precision of each label against the rest, for [n, k] arrays; None where undefined."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    found: list[Ranking] = []
    for has, score in zip(gold.T, scores.T, strict=True):
        number = int(has.sum())
        found.append(
            (
                float(roc_auc_score(has, score)) if 0 < number < len(has) else None,
                float(average_precision_score(has, score)) if number else None,
            )
        )
    return found


def add_ranking(measured: Measurement) -> None:
    """Add the macro averages over `measured.per_label`. They are undefined if one label's value is."""
    for name in ("roc_auc", "average_precision"):
        values = [getattr(one, name) for one in measured.per_label]
        missing = [one for one, value in zip(measured.per_label, values, strict=True) if value is None]
        if missing:
            which = "no text has" if not missing[0].texts else "each text has"
            measured.add(name, None, f"{which} the label {missing[0].label}")
        else:
            measured.add(name, sum(values) / len(values))
