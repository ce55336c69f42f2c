"""Predictions: subsets keep rows together."""

from typing import Any

import numpy as np
import pytest

from labelstream.workers.engine.description import TaskName
from labelstream.workers.evaluation.predictions import Kind, Predictions


def predictions(with_logits: bool = True) -> Predictions:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    return Predictions(
        model="m",
        task=TaskName.TEXT_CLASSIFICATION,
        kind=Kind.SINGLE_LABEL,
        labels=("no", "yes"),
        gold=np.array([0, 1, 1, 0]),
        scores=scores,
        logits=np.log(scores) if with_logits else None,
        texts=[("a", None), ("b", "c"), ("d", None), ("e", None)],
        truncated=np.array([False, True, False, False]),
        runtime_s=2.0,
    )


@pytest.mark.parametrize("rows", [np.array([1, 3]), np.array([False, True, False, True])], ids=["indexes", "mask"])
def test_subset_by_indexes_or_mask_keeps_rows_together(rows: Any) -> None:
    part = predictions().subset(rows)
    assert len(part) == 2
    assert part.gold.tolist() == [1, 0]
    assert part.scores.tolist() == [[0.2, 0.8], [0.5, 0.5]]
    assert part.logits is not None
    assert part.logits.tolist() == np.log([[0.2, 0.8], [0.5, 0.5]]).tolist()
    assert part.texts == [("b", "c"), ("e", None)]
    assert part.truncated.tolist() == [True, False]
    assert part.runtime_s == 1.0


def test_subset_without_logits_and_rows_is_empty() -> None:
    part = predictions(with_logits=False).subset(np.array([], np.int64))
    assert (len(part), part.logits, list(part.texts), part.runtime_s) == (0, None, [], 0.0)
