"""What is measured, as plain numbers: from the brokers, the workers and the replicas. The policy's only input.

A simulator makes the same numbers, so that the very same code decides there.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Backlog(NamedTuple):
    """One partition of an input topic. `end`: the log's end offset; `lag`: messages before it that are not done."""

    end: int
    lag: int


class WorkerCounts(NamedTuple):
    """Of one worker since its start: messages taken in, seconds of CPU, and tokens given to each model."""

    messages: int
    cpu_s: float
    tokens: Mapping[str, int]


class ReplicaCounts(NamedTuple):
    """Of one model replica since its start: tokens run, in so many batches, and seconds that its device took for them.

    `full_tokens`: from how many on a batch gets no larger; 0: it makes no difference. `measured`: tokens per second
    that it found of itself when it started; 0: not known.
    """

    tokens: int
    busy_s: float
    batches: int = 0
    full_tokens: int = 0
    measured: float = 0.0


class PipelineReadings(NamedTuple):
    """`backlog` by partition; None when the brokers have given no answer lately. `workers` by replica."""

    backlog: Mapping[int, Backlog] | None
    workers: Mapping[str, WorkerCounts]


class Readings(NamedTuple):
    """All that is known at one moment. `at`: monotonic seconds."""

    at: float
    pipelines: Mapping[str, PipelineReadings]
    models: Mapping[str, Mapping[str, ReplicaCounts]]
