"""Bootstrap: metrics of resamples, each of n texts drawn from the n texts with replacement, and their intervals."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

INTERVAL = (2.5, 97.5)  # percentiles
_DRAWN = 4_000_000  # texts at a time, 32 MB


def counts(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each of `n` texts occurs in each resample, in blocks [resamples of the block, n]."""
    for drawn in _draws(n, resamples, seed):
        block = len(drawn)
        cells = drawn + np.arange(block, dtype=np.int64)[:, None] * n
        yield np.bincount(cells.ravel(), minlength=block * n).reshape(block, n).astype(np.float64)


def means(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """[resamples]: the mean of `values` [n] in each resample."""
    return np.concatenate([values[drawn].mean(1) for drawn in _draws(len(values), resamples, seed)])


def cells(numbers: NDArray[np.int64], resamples: int, seed: int) -> NDArray[np.float64]:
    """[resamples, m]: texts in each of m cells of a table, whose counts are `numbers`, in each resample.

    Whether texts or counts are drawn makes no difference for metrics that are functions of the counts.
    """
    total = numbers.sum()
    return np.random.default_rng(seed).multinomial(total, numbers / total, size=resamples).astype(np.float64)


def intervals(metrics: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    """The 95% percentile interval of each metric's [resamples] values. NaN: undefined for that resample."""
    found: dict[str, tuple[float, float]] = {}
    for name, values in metrics.items():
        defined = values[np.isfinite(values)]
        if len(defined):
            low, high = np.percentile(defined, INTERVAL)
            found[name] = (float(low), float(high))
    return found


def _draws(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """Indexes of texts, in blocks [resamples of the block, n]."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _DRAWN // n)
    for first in range(0, resamples, at_once):
        yield rng.integers(n, size=(min(at_once, resamples - first), n), dtype=np.int32)
