"""A row for each metric."""

from docs.generate.metrics import metrics_of
from labelstream.deploy.observability.metrics.table import METRICS, Metric


def test_row_has_type_labels_and_meaning() -> None:
    metric = Metric("labelstream_x", "counter", ("pipeline", "state"), "Things counted")
    assert metrics_of([metric]).splitlines()[-1] == (
        "| `labelstream_x` | counter | `pipeline`, `state` | Things counted. |"
    )


def test_every_metric_has_a_row() -> None:
    assert len(metrics_of(METRICS.values()).splitlines()) == len(METRICS) + 2
