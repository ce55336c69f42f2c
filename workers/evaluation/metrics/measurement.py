"""What the metrics say of one model: values, intervals, and why a value is undefined."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PREFIX = "eval_"  # of transformers' Trainer, which run_glue prints


@dataclass(frozen=True)
class LabelMetrics:
    """Metrics of one label against the rest. `texts`: texts that have the label. None: undefined."""

    label: str
    precision: float
    recall: float
    f1: float
    texts: int
    predicted: int
    roc_auc: float | None = None
    average_precision: float | None = None


@dataclass
class Measurement:
    """`values`, `intervals`, `undefined`: by the name of the metric, such as eval_accuracy.

    - `intervals`: the bounds that hold the metric of 95% of the bootstrap's resamples.
    - `undefined`: why a metric has no value.
    - `confusion`: [k, k] counts, rows by true label and columns by predicted label; only if labels exclude each other.
    - `notes`: what a reader must know of the values.
    """

    values: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)
    per_label: list[LabelMetrics] = field(default_factory=list)
    confusion: NDArray[np.int64] | None = None
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float | None, why: str = "") -> None:
        """Record a metric. `value`: None or NaN means undefined, for the reason `why`."""
        if value is None or np.isnan(value):
            self.undefined[PREFIX + name] = why or "undefined for these texts"
        else:
            self.values[PREFIX + name] = float(value)
