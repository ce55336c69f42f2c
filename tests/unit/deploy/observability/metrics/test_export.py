"""Samples as instruments: counters grow, histograms are cumulative, gauges keep the last value."""

from collections.abc import Mapping

import pytest

from labelstream.deploy.observability.metrics.export import Exporter
from labelstream.deploy.observability.metrics.samples import Sample
from labelstream.workers.histogram import Histogram
from tests.support.metric_samples import board_samples


class Recorded:
    """Instruments that add up, or keep the last value."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def make(self, name: str, kind: str, labels: tuple[str, ...], text: str) -> "Recorded.One":
        return Recorded.One(self.values, name, kind)

    class One:
        def __init__(self, values: dict[tuple[str, ...], float], name: str, kind: str) -> None:
            self._values, self._name, self._kind = values, name, kind

        def record(self, value: float, labels: Mapping[str, str]) -> None:
            assert value >= 0
            key = (self._name, *labels.values())
            self._values[key] = value + (self._values.get(key, 0) if self._kind == "counter" else 0)


def test_counter_starts_at_zero_and_grows_by_difference() -> None:
    found = Recorded()
    exporter = Exporter(found.make)
    for value in (0, 3, 3, 10):
        exporter.export([Sample("labelstream_restarts", {"pipeline": "p"}, value)])
        assert found.values == {("labelstream_restarts", "p"): value}


def test_a_histogram_is_cumulative_by_upper_bound() -> None:
    found, histogram = Recorded(), Histogram((1.0, 2.5))
    exporter = Exporter(found.make)
    for values in ([], [0.5, 1.0, 2.0], [99.0, -4.0]):
        histogram.observe(values)
        exporter.export([Sample("labelstream_commit_seconds", {"pipeline": "p"}, histogram.buckets())])
    name = "labelstream_commit_seconds"
    assert found.values == {
        (f"{name}_bucket", "p", "1"): 3,
        (f"{name}_bucket", "p", "2.5"): 4,
        (f"{name}_bucket", "p", "+Inf"): 5,
        (f"{name}_sum", "p"): 102.5,
    }


def test_gauges_have_the_last_value() -> None:
    found = Recorded()
    for samples in (board_samples(), board_samples()):
        Exporter(found.make).export(samples)
    assert found.values["labelstream_lag_messages", "p", "in", "0"] == 2
    assert found.values["labelstream_workers", "p", "running"] == 1
    assert found.values["labelstream_workers", "q", "running"] == 0
    assert found.values["labelstream_model_replicas", "m"] == 0


def test_what_fails_is_told_once_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Exporter(Recorded().make)
    for _ in range(3):
        exporter.try_to_export([Sample("no_such_metric", {}, 1)])
    assert [record.levelname for record in caplog.records] == ["ERROR"]
