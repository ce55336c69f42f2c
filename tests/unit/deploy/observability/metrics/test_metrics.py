"""The numbers of processes as metrics: every one is in the table, with the table's labels; counters only grow."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from labelstream.deploy.observability.metrics.export import Exporter
from labelstream.deploy.observability.metrics.samples import Sample, of_board, of_model, of_worker
from labelstream.deploy.observability.metrics.table import BOARD, METRICS, MODEL, WORKER, Metric
from labelstream.workers.histogram import Histogram
from labelstream.workers.stream.stats import MAX_LABELS, OTHER, Stages, Stats, Tally


def worker_stats() -> dict[str, Any]:
    stats, tally = Stats(), Tally(abstained=1, latencies_ms=[3.0, 40.0, 1e9])
    tally.results.update({0: 2, 3: 1})
    tally.dead_letters.update({(3, "empty_text"): 2})
    tally.labels.update({("m", "POSITIVE"): 2, ("m", "(abstained)"): 1})
    stats.received({0: 2, 3: 4}, 1)  # type: ignore[arg-type]
    stats.sent(tally, Stages(0.001, 0.03, 0.0, 0.004))
    stats.retried("m")
    stats.took("commit_s", 0.02)
    return {
        **stats.snapshot(),
        "partitions": {0: (0, 2), 3: (1, 5)},
        "in_flight_by_partition": {3: 1},
        "tokens": {"m": 90},
        "cpu_s": 1.5,
    }


def model_stats() -> dict[str, Any]:
    numbers = (
        "sequences",
        "tokens",
        "run_tokens",
        "run_slots",
        "calls",
        "batches",
        "failed_batches",
        "busy_s",
        "max_batch_tokens",
    )
    histograms = {name: Histogram().buckets() for name in ("queue_wait_s", "forward_s", "batch_tokens")}
    return {
        **dict.fromkeys(numbers, 1),
        "histograms": histograms,
        "replica": "r1",
        "memory_bytes": {"used": 1, "reserved": 2, "total": 3},
    }


def board_samples() -> list[Sample]:
    backlog = {
        "stale": False,
        "arrival_per_s": 3.0,
        "tokens": {"m": 70},
        "by_partition": {0: {"lag": 2, "oldest_s": 1}},
    }
    status = {"backlog": {"p": backlog}, "targets": {"model-m": 2}}
    return list(of_board(status, {"p": {"r": {"state": "running", "alarms": ["a", "b"]}}, "q": {}}, {"m": {}}))


SAMPLES = {
    "worker": (WORKER, lambda: list(of_worker("p", worker_stats()))),
    "model": (MODEL, lambda: list(of_model("m", model_stats()))),
    "board": (BOARD, board_samples),
}


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_each_process_gives_its_part_of_the_table_and_nothing_else(kind: str) -> None:
    table, make = SAMPLES[kind]
    samples = make()
    assert {sample.name for sample in samples} == {metric.name for metric in table}
    for name, labels, _ in samples:
        assert set(labels) == set(METRICS[name].labels)
        assert all(isinstance(value, str) for value in labels.values())
    assert len({(name, *labels.items()) for name, labels, _ in samples}) == len(samples)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_names_follow_the_rules(metric: Metric) -> None:
    """https://prometheus.io/docs/practices/naming/: base units, in the plural, at the end; `_total` is Ray's to add."""
    assert re.fullmatch(r"labelstream_[a-z]+(_[a-z]+)*", metric.name)
    assert not re.search(r"_(total|bucket|sum|count|info|ms|millis|minutes|kb|mb)$", metric.name)
    assert metric.help
    assert not metric.help.endswith(".")


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


def test_counters_grow_by_the_difference_and_are_there_before_they_do() -> None:
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
    assert found.values["labelstream_lag_messages", "p", "0"] == 2
    assert found.values["labelstream_workers", "p", "running"] == 1
    assert found.values["labelstream_workers", "q", "running"] == 0
    assert found.values["labelstream_model_replicas", "m"] == 0


def test_what_fails_is_told_once_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Exporter(Recorded().make)
    for _ in range(3):
        exporter.try_to_export([Sample("no_such_metric", {}, 1)])
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_stale_backlog_shows_no_numbers() -> None:
    names = {sample.name for sample in of_board({"backlog": {"p": {"stale": True}}, "targets": {}}, {}, {})}
    assert names == {"labelstream_backlog_stale"}


def test_labels_are_bounded() -> None:
    stats = Stats()
    for number in range(3 * MAX_LABELS):
        tally = Tally()
        tally.labels["m", f"label {number}"] += 1
        stats.sent(tally, Stages(0, 0, 0, 0))
    labels = stats.snapshot()["labels"]["m"]
    assert len(labels) == MAX_LABELS + 1
    assert labels[OTHER] == 2 * MAX_LABELS


def test_a_workers_numbers_are_plain_data() -> None:
    assert json.loads(json.dumps(worker_stats()))["by_partition"]["3"] == {
        "in": 4,
        "results": 1,
        "skipped": 0,
        "dead_letters": {"empty_text": 2},
    }
