"""Observations counted by upper bound, as Prometheus counts them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.histogram import SECONDS, Histogram


def test_value_at_a_bound_counts_in_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert histogram.buckets() == {"bounds": [1.0, 2.0], "counts": [2, 2, 1], "sum": 7.5}


def test_value_below_zero_counts_as_zero() -> None:
    histogram = Histogram((1.0,))
    histogram.observe([-5.0, 3.0])
    assert histogram.buckets() == {"bounds": [1.0], "counts": [1, 1], "sum": 3.0}


def test_histogram_without_values_is_zero() -> None:
    histogram = Histogram()
    histogram.observe([])
    assert histogram.buckets() == {"bounds": list(SECONDS), "counts": [0] * (len(SECONDS) + 1), "sum": 0.0}


@given(st.lists(st.floats(0, 5_000), max_size=50))
def test_observing_an_array_equals_single_values(values: list[float]) -> None:
    together, apart = Histogram(), Histogram()
    together.observe(np.array(values))
    for value in values:
        apart.observe(value)
    assert together.buckets()["counts"] == apart.buckets()["counts"]
    assert sum(together.buckets()["counts"]) == len(values)
    assert together.buckets()["sum"] == pytest.approx(apart.buckets()["sum"], abs=1e-5)
