"""The metrics of `labelstream.deploy.observability.metrics.table` as tables."""

from collections.abc import Iterable

from docs.generate.markdown import code, sentence, table
from labelstream.deploy.observability.metrics.table import Metric


def metrics_of(metrics: Iterable[Metric]) -> str:
    """A table of `metrics`, in the order of the code."""
    rows = [
        [code(metric.name), metric.kind, ", ".join(map(code, metric.labels)), sentence(metric.help)]
        for metric in metrics
    ]
    return table(["metric", "type", "labels", "meaning"], rows)
