"""Bounds and goals of the policy, from the settings."""

from collections.abc import Mapping
from typing import NamedTuple


class Bounds(NamedTuple):
    """Smallest and largest number of replicas."""

    min: int
    max: int

    def of(self, wanted: float) -> int:
        return max(self.min, min(self.max, int(wanted)))


class ModelRules(NamedTuple):
    bounds: Bounds


class PipelineRules(NamedTuple):
    """Rules of one pipeline.

    - `target_drain_s`: time in which a backlog should be gone.
    - `max_lag_s`: highest age of a message at its result.
    - `models`: the models that the pipeline may use.
    - `calls`: highest number of micro-batches in flight of a worker.
    """

    bounds: Bounds
    models: tuple[str, ...]
    target_drain_s: float
    max_lag_s: float
    calls: int


class Rules(NamedTuple):
    """`http`: whether a gateway uses all models as well."""

    models: Mapping[str, ModelRules]
    pipelines: Mapping[str, PipelineRules]
    http: bool = False
