"""The numbers of each process as samples: all are in the table, with the table's labels."""

import pytest

from labelstream.deploy.observability.metrics.samples import of_board, of_gateway, of_model, of_worker
from labelstream.deploy.observability.metrics.table import BOARD, GATEWAY, METRICS, MODEL, WORKER
from tests.support.metric_samples import board_samples, scaling_status, worker_stats
from tests.support.reports import gateway_report, model_report

SAMPLES = {
    "worker": (WORKER, lambda: list(of_worker("p", worker_stats()))),
    "model": (MODEL, lambda: list(of_model("m", model_report(), "r1"))),
    "board": (BOARD, board_samples),
    "gateway": (GATEWAY, lambda: list(of_gateway(gateway_report(), "r1"))),
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
    names = {sample.name for sample in of_board(scaling_status({}, stale=True), {}, {})}
    assert names == {"labelstream_backlog_stale"}
