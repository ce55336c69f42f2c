"""Percentiles of measured values."""

from labelstream.deploy.bench.measures.timing import percentiles


def test_percentiles_are_p50_and_p99() -> None:
    assert percentiles([float(value) for value in range(101)]) == {"p50": 50.0, "p99": 99.0}
    assert percentiles([7.0]) == {"p50": 7.0, "p99": 7.0}
    assert percentiles([]) == {}
