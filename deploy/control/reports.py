"""What workers and model replicas report to the control plane, and what that tells of them: plain data.

A new key is NotRequired: in a rolling update replicas of the version before report without it, and the control plane
would decide nothing until the last of them is gone.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple, NotRequired, TypedDict

from labelstream.deploy.control.deployed import Owner
from labelstream.workers.stream.report import WorkerReport
from labelstream.workers.stream.supervision.commands import Command

if TYPE_CHECKING:  # numpy is more than a command needs to start
    from labelstream.workers.histogram import Buckets

Kind = Literal["pipelines", "models"]


class Answer(TypedDict):
    """As `labelstream.workers.stream.supervision.commands.CommandAnswer`."""

    status: Literal["done", "refused", "absent"]
    text: str


Answers = dict[str, Answer]  # by replica or by command


class Order(Command):
    """A command under way: the worker has `timeout_s` left for it."""

    id: str
    timeout_s: float


class Outcome(TypedDict):
    """What became of a command: all pipelines that there are, the pipeline's replicas, and those that answered."""

    known: list[str]
    workers: list[str]
    answers: Answers


class Told(NamedTuple):
    """What the control plane answers to a report: `commands` to obey, how many `calls` a worker keeps open, and in how
    many seconds it wants to hear again.
    """

    commands: list[Order]
    calls: int
    every_s: float


class Place(TypedDict):
    """Where a replica runs; `age_s`: how old its report is, by the control plane."""

    replica: str
    node: str
    pid: int
    age_s: NotRequired[float]


class PipelineReport(WorkerReport):
    """Of a worker as a Serve replica. `tokens`: given to each model."""

    tokens: dict[str, int]


class BatcherCounts(TypedDict):
    """As of `labelstream.workers.engine.dynamic_batcher.DynamicBatcher.counts`."""

    sequences: int
    tokens: int
    calls: int
    batches: int
    failed_batches: int
    busy_s: float
    histograms: "dict[str, Buckets]"


class ModelReport(BatcherCounts):
    """Of a model replica. `run_tokens` and `run_slots`: with warming up, and what was run again after a failure."""

    source: str
    revision: str
    max_batch_tokens: int
    full_tokens: int
    measured_tokens_per_s: float
    run_tokens: int
    run_slots: int
    memory_bytes: dict[str, int]


class PlacedPipelineReport(PipelineReport, Place): ...


class PlacedModelReport(ModelReport, Place): ...


class PartitionBacklog(TypedDict):
    lag: int
    oldest_s: float


class BacklogStatus(TypedDict):
    """Of a pipeline. `tokens`: what waits for each model, estimated."""

    lag: int
    oldest_s: float
    stale: bool
    arrival_per_s: float
    partitions: int
    tokens: dict[str, int]
    by_partition: dict[int, PartitionBacklog]


class ScalingStatus(TypedDict):
    """`backlog` and `warnings` by pipeline, `targets` and `reasons` by deployment."""

    backlog: dict[str, BacklogStatus]
    targets: dict[str, int]
    reasons: dict[str, str]
    warnings: dict[str, str]


class Reports(TypedDict):
    """The latest of every replica, by the names in the config."""

    pipelines: dict[str, dict[str, PlacedPipelineReport]]
    models: dict[str, dict[str, PlacedModelReport]]


class Status(Reports):
    """`owner`: None where it was deployed by Serve's own commands."""

    scaling: NotRequired[ScalingStatus]
    owner: NotRequired[Owner | None]
