"""What a threshold should reach: a metric and its value, such as precision=0.95."""

import math
from enum import StrEnum
from typing import NamedTuple

from labelstream.workers.errors import ConfigError

MIN_TEXTS = 20
_HIGHEST = 0.999


class Metric(StrEnum):
    """Metrics of one label.

    PRECISION: share of right ones among the texts with the accepted label. RECALL: share of the texts of the label for
    which it is accepted. F1: their harmonic mean. COVERAGE: share of accepted ones among the texts whose best label it
    is.
    """

    PRECISION = "precision"
    RECALL = "recall"
    F1 = "f1"
    COVERAGE = "coverage"


class Target(NamedTuple):
    metric: Metric
    value: float

    @property
    def min_texts(self) -> int:
        """Texts without which a threshold is chance: with fewer, one wrong text alone misses the target."""
        if self.metric is Metric.F1:
            return MIN_TEXTS
        return max(MIN_TEXTS, math.ceil(round(1 / (1 - self.value), 6)))

    def __str__(self) -> str:
        return f"{self.metric}={self.value:g}"


def parse_target(text: str) -> Target:
    """Raises ConfigError naming --target."""
    name, _, number = text.partition("=")
    try:
        target = Target(Metric(name.strip().lower()), float(number))
    except ValueError:
        problem = f"{text!r} is not METRIC=VALUE with a metric of {', '.join(Metric)}"
        raise ConfigError("--target", problem, "for example precision=0.95") from None
    if not 0 < target.value <= _HIGHEST:
        problem = f"{number} is not a share above 0 and up to {_HIGHEST}"
        raise ConfigError("--target", problem, "for example precision=0.95")
    return target
