"""The numbers of each process as samples: all are in the table, with the table's labels."""

from typing import Any

import pytest

from labelstream.deploy.observability.metrics.samples import of_board, of_model, of_worker
from labelstream.deploy.observability.metrics.table import BOARD, METRICS, MODEL, WORKER
from labelstream.workers.histogram import Histogram
from tests.support.metric_samples import board_samples, worker_stats


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


def test_a_stale_backlog_shows_no_numbers() -> None:
    names = {sample.name for sample in of_board({"backlog": {"p": {"stale": True}}, "targets": {}}, {}, {})}
    assert names == {"labelstream_backlog_stale"}
