"""Turns label ids and scores into answers with label names, in a few microseconds per message. No torch."""

from collections.abc import Mapping, Sequence
from itertools import repeat, starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import Answer, Prediction
from labelstream.workers.engine.ragged import ScoredSequences


def predictions(
    scored: ScoredSequences,
    labels: Sequence[str],
    tokens: Sequence[int],
    truncated: Sequence[bool],
    top_ks: Sequence[int],
    revision: str,
) -> list[Answer]:
    """One answer per row of `scored`, with its `top_ks[i]` best labels, at most as many as `scored` has.

    `scored`: ranked. Raises ValueError if `scored` is not ranked or the lengths differ: shifted rows would be wrong
    labels.
    """
    label_ids = scored.label_ids
    if label_ids is None:
        raise ValueError("these scores are not ranked")
    n = len(label_ids)
    if not n == len(scored.scores) == len(tokens) == len(truncated) == len(top_ks):
        raise ValueError(
            f"{n} label rows, {len(scored.scores)} score rows, {len(tokens)} token counts, "
            f"{len(truncated)} truncation flags and {len(top_ks)} top_k do not belong together"
        )
    if n == 0:
        return []
    widths = set(top_ks)
    width = max(widths)
    names = np.empty(len(labels), object)
    names[:] = list(labels)
    rows_of_names: Any = map(tuple, names[label_ids[:, :width]].tolist())
    rows_of_scores: Any = map(tuple, scored.scores[:, :width].tolist())
    if len(widths) > 1:
        rows_of_names = [row[:k] for row, k in zip(rows_of_names, top_ks, strict=True)]
        rows_of_scores = [row[:k] for row, k in zip(rows_of_scores, top_ks, strict=True)]
    rows = zip(rows_of_names, rows_of_scores, tokens, truncated, repeat(revision, n), strict=True)
    answers: list[Answer] = list(starmap(Prediction, rows))
    for row, error in scored.errors.items():
        answers[row] = error
    return answers


def in_order_of(answer: Answer, places: Mapping[str, int]) -> Answer:
    """The answer, with the order of its labels by `places`."""
    if not isinstance(answer, Prediction):
        return answer
    labels = answer.labels
    return answer._replace(order=tuple(sorted(range(len(labels)), key=lambda i: places[labels[i]])))


def by_label(scored: ScoredSequences, labels: int) -> NDArray[np.float32]:
    """The scores in the order of the label ids, [n, labels]. Raises ValueError if `scored` has another order."""
    if scored.label_ids is not None or scored.scores.shape[1:] != (labels,):
        raise ValueError(f"these are not the scores of all {labels} labels in the order of their ids")
    return scored.scores
