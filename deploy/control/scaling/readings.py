"""Measurements from brokers, workers and replicas as plain numbers: the only input of the policy.

A simulator makes the same numbers, so that the same policy decides.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Backlog(NamedTuple):
    """One partition of an input topic. `end`: the log's end offset. `lag`: messages before the end that are
    not done.
    """

    end: int
    lag: int


class WorkerCounts(NamedTuple):
    """Counts of one worker since its start: messages received, seconds of CPU, and tokens given to each model."""

    messages: int
    cpu_s: float
    tokens: Mapping[str, int]


class ReplicaCounts(NamedTuple):
    """Counts of one model replica since its start: tokens, batches, and seconds of its device.

    - `full_tokens`: tokens from which a batch is full; 0: unknown or without effect.
    - `measured`: tokens per second that the replica measured at its start; 0: unknown.
    """

    tokens: int
    busy_s: float
    batches: int = 0
    full_tokens: int = 0
    measured: float = 0.0


class PipelineReadings(NamedTuple):
    """`backlog` by TOPIC:PARTITION; None if the brokers have not answered lately. `workers` by replica."""

    backlog: Mapping[str, Backlog] | None
    workers: Mapping[str, WorkerCounts]


class HttpCounts(NamedTuple):
    """Counts of one gateway replica since its start: texts and tokens given to a model; `waiting`: texts without an
    answer now.
    """

    texts: int
    tokens: int
    waiting: int


class Readings(NamedTuple):
    """All readings of one moment. `at`: monotonic seconds. `http`: by model and gateway replica."""

    at: float
    pipelines: Mapping[str, PipelineReadings]
    models: Mapping[str, Mapping[str, ReplicaCounts]]
    http: Mapping[str, Mapping[str, HttpCounts]] = MappingProxyType({})
