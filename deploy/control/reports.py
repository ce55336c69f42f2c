"""Reports of workers and model replicas to the control plane, and what it answers: plain data.

A new key is NotRequired: in a rolling update, replicas of the older version report without it, and a required key would
stop all decisions until the last of them is gone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

from labelstream.deploy.control.deployed import Owner
from labelstream.workers.stream.report import RecentResult, WorkerReport
from labelstream.workers.stream.supervision.commands import Command

if TYPE_CHECKING:  # importing numpy would slow each command's start
    from labelstream.workers.histogram import Buckets

Kind = Literal["pipelines", "models", "gateway"]
COMMAND_S, ANSWER_S = 30.0, 3.0  # COMMAND_S includes ANSWER_S, the time for the answers to arrive


class Answer(TypedDict):
    """See `labelstream.workers.stream.supervision.commands.CommandAnswer`."""

    status: Literal["done", "refused", "absent"]
    text: str


Answers = dict[str, Answer]  # by replica or by command


class Order(Command):
    """A command under way; the worker has `timeout_s` left."""

    id: str
    timeout_s: float


class Outcome(TypedDict):
    """The outcome of a command: all pipelines, the workers of the pipeline, and the answers by worker."""

    known: list[str]
    workers: list[str]
    answers: Answers


class Told(NamedTuple):
    """The answer to a report: `commands` to run, `calls` that a worker keeps in flight, and seconds until the next
    report.
    """

    commands: list[Order]
    calls: int
    every_s: float


RATES = {  # counters with a rate
    "pipelines": ("messages_in", "results_out"),
    "models": ("sequences", "busy_s", "tokens", "run_tokens", "run_slots"),
}
FRESH_S = 10.0  # older reports are those of replicas that are gone, or of those before an update


class Place(TypedDict):
    """Where a replica runs. `age_s`: age of its report, by the control plane's clock.

    `before`: counters of an earlier report and its `age_s`, for rates.
    """

    replica: str
    node: str
    pid: int
    age_s: NotRequired[float]
    before: NotRequired[dict[str, float]]


class PipelineReport(WorkerReport):
    """Report of a worker as a Serve replica. `tokens`: given to each model."""

    tokens: dict[str, int]


class BatcherCounts(TypedDict):
    """See `labelstream.workers.engine.batching.dynamic_batcher.DynamicBatcher.counts`."""

    sequences: int
    tokens: int
    calls: int
    batches: int
    failed_batches: int
    busy_s: float
    histograms: "dict[str, Buckets]"


class ModelReport(BatcherCounts):
    """Report of a model replica. `run_tokens` and `run_slots` include the warm-up and repeated batches."""

    source: str
    revision: str
    max_batch_tokens: int
    full_tokens: int
    measured_tokens_per_s: float
    run_tokens: int
    run_slots: int
    memory_bytes: dict[str, int]


class RequestCounts(TypedDict):
    """`requests`: by dialect and status. `latency_s`: by dialect, until the response began."""

    in_flight: int
    requests: dict[str, dict[str, int]]
    latency_s: "dict[str, Buckets]"


class ModelCounts(TypedDict):
    """Texts and tokens that a gateway submitted to a model, and texts that wait for their answers."""

    texts: int
    tokens: int
    waiting: int


class GatewayReport(RequestCounts):
    """Report of a gateway replica. `models`: by name."""

    models: dict[str, ModelCounts]


class PlacedPipelineReport(PipelineReport, Place): ...


class PlacedModelReport(ModelReport, Place): ...


class PlacedGatewayReport(GatewayReport, Place): ...


Placed = TypeVar("Placed", PlacedPipelineReport, PlacedModelReport, PlacedGatewayReport)


def fresh(reports: Mapping[str, Placed]) -> dict[str, Placed]:
    """The reports younger than FRESH_S."""
    return {replica: report for replica, report in reports.items() if report.get("age_s", 0.0) < FRESH_S}


class PartitionBacklog(TypedDict):
    lag: int
    oldest_s: float


class BacklogStatus(TypedDict):
    """Backlog of a pipeline. `tokens`: estimated tokens that wait for each model.

    `by_partition`: by TOPIC:PARTITION.
    """

    lag: int
    oldest_s: float
    stale: bool
    arrival_per_s: float
    partitions: int
    tokens: dict[str, int]
    by_partition: dict[str, PartitionBacklog]


class ScalingStatus(TypedDict):
    """`backlog` and `warnings` by pipeline; `targets` and `reasons` by deployment."""

    backlog: dict[str, BacklogStatus]
    targets: dict[str, int]
    reasons: dict[str, str]
    warnings: dict[str, str]


class Totals(TypedDict, total=False):
    """Counts of a pipeline's workers, by the keys of their reports."""

    results_out: int
    skipped_by_reason: dict[str, int]
    dead_letters: dict[str, int]


class Reports(TypedDict):
    """The latest report of every replica, by the names in the config."""

    pipelines: dict[str, dict[str, PlacedPipelineReport]]
    models: dict[str, dict[str, PlacedModelReport]]
    gateway: NotRequired[dict[str, dict[str, PlacedGatewayReport]]]


class Status(Reports):
    """`owner`: None if Serve's own commands deployed the application. `replicas`: those that Serve knows to live, by
    deployment, if Serve has told. `ended`: totals of the workers without a report any more, by pipeline.
    """

    scaling: NotRequired[ScalingStatus]
    owner: NotRequired[Owner | None]
    replicas: NotRequired[dict[str, list[str]]]
    ended: NotRequired[dict[str, list[Totals]]]


class PageStatus(Status):
    """What the page of the HTTP gateway shows. `recent`: sampled results by pipeline, newest last."""

    recent: dict[str, list[RecentResult]]
