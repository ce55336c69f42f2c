"""Exports samples as Ray's metrics, which each node's agent serves to Prometheus."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from labelstream.deploy.observability.metrics.samples import Sample
from labelstream.deploy.observability.metrics.table import METRICS, Metric
from labelstream.workers.histogram import Buckets

logger = logging.getLogger(__name__)
Labels = Mapping[str, str]


class Instrument(Protocol):
    """One metric of this process. `record`: the value of a gauge, or the growth of a counter."""

    def record(self, value: float, labels: Labels) -> None: ...


class RayInstrument:
    """`kind`: "counter" | "gauge". Needs a running Ray."""

    def __init__(self, name: str, kind: str, labels: tuple[str, ...], text: str) -> None:
        from ray.util import metrics

        made: Any = (metrics.Gauge if kind == "gauge" else metrics.Counter)(name, text, labels)
        # Counter.inc refuses 0, and a counter that appears with its first growth shows no growth in Prometheus.
        self._record = made._record

    def record(self, value: float, labels: Labels) -> None:
        self._record(float(value), dict(labels))


class Exporter:
    """Exporter of one process, for one calling thread. Counters grow by the difference to the call before."""

    def __init__(self, make: Callable[[str, str, tuple[str, ...], str], Instrument] = RayInstrument) -> None:
        self._make, self._failed = make, False
        self._instruments: dict[str, Instrument] = {}
        self._before: dict[tuple[str, tuple[str, ...]], float] = {}

    def export(self, samples: Iterable[Sample]) -> None:
        """Raises KeyError for a metric that is not in the table."""
        for name, labels, value in samples:
            metric = METRICS[name]
            if metric.kind == "histogram":
                self._buckets(metric, labels, value)  # type: ignore[arg-type]
            elif metric.kind == "counter":
                self._grow(metric, name, labels, value)  # type: ignore[arg-type]
            else:
                self._instrument(metric, name, metric.labels).record(value, labels)  # type: ignore[arg-type]

    def try_to_export(self, samples: Iterable[Sample]) -> None:
        """As `export`; a failure is logged, once as an error."""
        try:
            self.export(samples)
        except Exception as error:
            logger.log(logging.DEBUG if self._failed else logging.ERROR, "no metrics: %r", error)
            self._failed = True

    def _buckets(self, metric: Metric, labels: Labels, buckets: Buckets) -> None:
        total = 0
        for bound, count in zip((*buckets["bounds"], math.inf), buckets["counts"], strict=True):
            total += count
            le = "+Inf" if bound == math.inf else f"{bound:g}"
            self._grow(metric, f"{metric.name}_bucket", {**labels, "le": le}, total)
        self._grow(metric, f"{metric.name}_sum", labels, buckets["sum"])

    def _grow(self, metric: Metric, name: str, labels: Labels, value: float) -> None:
        key = name, tuple(labels.values())
        before = self._before.get(key)
        if before is None or value > before:
            self._before[key] = value
            self._instrument(metric, name, tuple(labels)).record(value - (before or 0), labels)

    def _instrument(self, metric: Metric, name: str, labels: tuple[str, ...]) -> Instrument:
        if name not in self._instruments:
            kind = "gauge" if metric.kind == "gauge" else "counter"
            self._instruments[name] = self._make(name, kind, labels, metric.help)
        return self._instruments[name]
