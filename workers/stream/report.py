"""Worker report: plain JSON data with counts since the worker's start.

New keys must be NotRequired: during a rolling update, older workers report without them.
"""

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict

if TYPE_CHECKING:  # commands start faster without numpy
    from labelstream.workers.histogram import Buckets

ALARMS_PAGE = "docs/how-to/runbooks/LabelstreamAlarm.md"  # explains each alarm

State = Literal[
    "starting", "running", "paused", "restarting", "draining", "drained", "failed", "stopped with messages in flight"
]
PartitionCounts = TypedDict(
    "PartitionCounts", {"in": int, "results": int, "skipped": int, "dead_letters": dict[str, int]}
)  # dead letters by reason


class Percentiles(TypedDict, total=False):
    """Milliseconds, over the last messages; empty before the first, and a minute after the last."""

    p50: float
    p99: float


class Histograms(TypedDict):
    latency_s: "Buckets"
    commit_s: "Buckets"
    transaction_s: "Buckets"


class StreamCounts(TypedDict):
    """Counts of `Stats`. `dead_letters`: by reason; `labels`: by model and first label; `stages`: by name;
    `results_routed`: by topic; `failed_texts`: of results with several texts, by reason; `by_partition`: by
    TOPIC:PARTITION.
    """

    messages_in: int
    results_out: int
    skipped: int
    skipped_by_reason: NotRequired[dict[str, int]]
    abstained: int
    results_retimed: int
    results_routed: NotRequired[dict[str, int]]
    failed_texts: NotRequired[dict[str, int]]
    retries: int
    unknown_fields: int
    restarts: int
    transactions: int
    transactions_aborted: int
    alarms_raised: int
    offset_jumps: int
    dead_letters: dict[str, int]
    latency_ms: Percentiles
    retries_by_model: dict[str, int]
    by_partition: dict[str, PartitionCounts]
    labels: dict[str, dict[str, int]]
    histograms: Histograms
    stages: "dict[str, Buckets]"


class RecentResult(TypedDict):
    """A sampled result. `at`: seconds since 1970; `place`: TOPIC:PARTITION:OFFSET of the message.

    `label`, `score`: the first label, which is not accepted if `abstained`; or the best token of the first mask, and
    `others` its next tokens with their scores; or the number of dimensions of an embedding, which has no score.
    `text`: the first characters of the message's text, if the page shows texts.
    """

    at: float
    place: str
    model: str
    label: str
    score: float | None
    abstained: bool
    others: NotRequired[list[tuple[str, float]]]
    text: NotRequired[str]


class WorkerReport(StreamCounts):
    """`partitions`: (lag, end of the log) by TOPIC:PARTITION. `recent`: newest last, only with the page of HTTP.

    `trouble`: the error that ended the worker, or its last run until the next run has joined the group.
    """

    worker: str
    state: State
    alarms: list[str]
    trouble: str | None
    lag: int
    partitions: dict[str, tuple[int, int]]
    cpu_s: float
    in_flight: int
    in_flight_by_partition: dict[str, int]
    recent: NotRequired[list[RecentResult]]
