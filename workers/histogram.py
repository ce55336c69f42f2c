"""Observations counted by upper bound, as in Prometheus' histograms, without a client library in the hot path."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class Buckets(TypedDict):
    """`counts`: one more than `bounds`, observations up to and including each bound and above the one before."""

    bounds: list[float]
    counts: list[int]
    sum: float


class Histogram:
    """`bounds` ascend, in the unit of what is observed. Not thread-safe: its owner has the lock."""

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = np.array(bounds, np.float64)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0

    def observe(self, values: ArrayLike) -> None:
        """Take in one value, or many at once; below zero counts as zero (clocks of two machines)."""
        found = np.maximum(np.atleast_1d(np.asarray(values, np.float64)), 0.0)
        places = np.searchsorted(self._bounds, found, side="left")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(found.sum())

    def buckets(self) -> Buckets:
        """Plain data since the start."""
        return {"bounds": self._bounds.tolist(), "counts": self._counts.tolist(), "sum": round(self._sum, 6)}
