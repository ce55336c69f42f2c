"""What one model says of one labeled data set: the interface between inference and everything that judges it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.description import TaskName

Text = tuple[str, str | None]  # the text and its pair


class Kind(StrEnum):
    """What a model's scores mean, by transformers' names of a problem type."""

    SINGLE_LABEL = "single_label_classification"
    MULTI_LABEL = "multi_label_classification"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Predictions:
    """The predictions of `model` for n texts, in the order of the data set, with k labels.

    - `model`: the name that the user gave.
    - `labels`: names in the model's order, k of them; empty for regression.
    - `gold`: the true labels: [n] int64 indexes of `labels`; [n, k] bool for MULTI_LABEL; [n] float64 for REGRESSION.
    - `scores`: [n, k] float64 as the stream reports them, after the activation; [n] float64 for REGRESSION.
    - `logits`: [n, k] float64 before the activation, for zero-shot the entailment logits; None if there are none.
    - `texts`: n texts with their pairs. `truncated`: [n] bool, whether the model read only a part of the text.
    - `runtime_s`: seconds that the model took for all texts.
    - `accepted`: [n, k] bool, the labels that the stream accepts by its thresholds; None for regression, and for labels
      that exclude each other and have no thresholds.
    """

    model: str
    task: TaskName
    kind: Kind
    labels: tuple[str, ...]
    gold: NDArray[Any]
    scores: NDArray[np.float64]
    logits: NDArray[np.float64] | None
    texts: Sequence[Text]
    truncated: NDArray[np.bool_]
    runtime_s: float
    accepted: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def subset(self, rows: NDArray[Any]) -> "Predictions":
        """The predictions for `rows`: indexes, or [n] bool. The runtime is in proportion to the number of texts."""
        chosen = np.arange(len(self))[rows]
        return replace(
            self,
            gold=self.gold[chosen],
            scores=self.scores[chosen],
            logits=None if self.logits is None else self.logits[chosen],
            texts=[self.texts[row] for row in chosen],
            truncated=self.truncated[chosen],
            runtime_s=self.runtime_s * len(chosen) / max(1, len(self)),
            accepted=None if self.accepted is None else self.accepted[chosen],
        )
