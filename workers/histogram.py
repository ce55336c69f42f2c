"""Counts observations by upper bound, as Prometheus histograms do, without its client library in the hot path."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class Buckets(TypedDict):
    """`counts[i]`: observations above bound i - 1, up to and including bound i; the last one has no upper bound."""

    bounds: list[float]
    counts: list[int]
    sum: float


class Histogram:
    """`bounds`: ascending, in the unit of the observations. Not thread-safe: the owner locks."""

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = np.array(bounds, np.float64)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0

    def observe(self, values: ArrayLike) -> None:
        """Count one value or an array. Negative values, which differing clocks produce, count as zero."""
        found = np.maximum(np.atleast_1d(np.asarray(values, np.float64)), 0.0)
        places = np.searchsorted(self._bounds, found, side="left")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(found.sum())

    def buckets(self) -> Buckets:
        """The counts since the start, as plain data."""
        return {"bounds": self._bounds.tolist(), "counts": self._counts.tolist(), "sum": round(self._sum, 6)}
