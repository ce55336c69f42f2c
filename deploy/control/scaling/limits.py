"""What the policy may do and is to reach, from the settings."""

from collections.abc import Mapping
from typing import NamedTuple


class Bounds(NamedTuple):
    """The least and the most replicas."""

    least: int
    most: int

    def of(self, wanted: float) -> int:
        return max(self.least, min(self.most, int(wanted)))


class ModelRules(NamedTuple):
    bounds: Bounds


class PipelineRules(NamedTuple):
    """`target_drain_s`: how fast a backlog must be gone. `max_lag_s`: how old a message may get before its result.

    `models`: those that it may use. `calls`: how many micro-batches a worker has in flight.
    """

    bounds: Bounds
    models: tuple[str, ...]
    target_drain_s: float
    max_lag_s: float
    calls: int


class Rules(NamedTuple):
    models: Mapping[str, ModelRules]
    pipelines: Mapping[str, PipelineRules]
