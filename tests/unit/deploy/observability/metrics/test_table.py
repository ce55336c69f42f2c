"""The names of the metrics."""

import re

import pytest

from labelstream.deploy.observability.metrics.table import METRICS, Metric


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_names_follow_the_rules(metric: Metric) -> None:
    """https://prometheus.io/docs/practices/naming/: base units, in the plural, at the end; `_total` is Ray's to add."""
    assert re.fullmatch(r"labelstream_[a-z]+(_[a-z]+)*", metric.name)
    assert not re.search(r"_(total|bucket|sum|count|info|ms|millis|minutes|kb|mb)$", metric.name)
    assert metric.help
    assert not metric.help.endswith(".")
