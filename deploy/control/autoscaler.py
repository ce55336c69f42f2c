"""Reads backlog and reports once a second and decides the number of replicas, in a thread of the control plane.

After a restart of the control plane the autoscaler observes for a while, then starts from what runs.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from labelstream.deploy.control.backlog_outage import BacklogOutage
from labelstream.deploy.control.reports import (
    BacklogStatus,
    ModelReport,
    PlacedGatewayReport,
    Reports,
    ScalingStatus,
    fresh,
)
from labelstream.deploy.control.scaling.estimator import Estimate, Estimator
from labelstream.deploy.control.scaling.limits import Bounds, ModelRules, PipelineRules, Rules
from labelstream.deploy.control.scaling.policy import Decision, Policy
from labelstream.deploy.control.scaling.readings import (
    Backlog,
    HttpCounts,
    PipelineReadings,
    Readings,
    ReplicaCounts,
    WorkerCounts,
)
from labelstream.deploy.names import GATEWAY, by_deployment, used_models
from labelstream.workers.errors import StreamError
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.broker.backlog import Standing
from labelstream.workers.stream.report import WorkerReport

logger = logging.getLogger(__name__)
LOOK_S = 1.0
FIRST_WATCH_S = 20.0
BACKLOG_KEPT_S = 5.0
NOTHING = Decision({}, {}, {}, {})  # no decision: all numbers stay

ReadBacklog = Callable[[], Mapping[str, Mapping[str, Standing]]]
Show = Callable[
    [ScalingStatus, Mapping[str, Mapping[str, WorkerReport]], Mapping[str, Mapping[str, ModelReport]]], None
]


def rules_of(settings: Settings) -> Rules:
    return Rules(
        {
            name: ModelRules(Bounds(settings.models[name].replicas.min, settings.models[name].replicas.max))
            for name in used_models(settings)
        },
        {
            name: PipelineRules(
                Bounds(pipeline.workers.min, pipeline.workers.max),
                pipeline.allowed_models,
                pipeline.target_drain_s,
                pipeline.max_lag_s,
                pipeline.most_in_flight,
            )
            for name, pipeline in settings.pipelines.items()
        },
        settings.http is not None,
    )


class Autoscaler:
    """Owns a thread, from `start` to the end of the process.

    - `reports`: the latest report of each replica, with its `age_s`.
    - `read_backlog`: may block; raises StreamError.
    - `show`: gets the status after each turn, and the fresh reports of each pipeline and each model.
    """

    def __init__(
        self,
        settings: Settings,
        reports: Callable[[], Reports],
        read_backlog: ReadBacklog,
        show: Show = lambda status, pipelines, models: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules, self._reports, self._read_backlog, self._clock = rules_of(settings), reports, read_backlog, clock
        self._show = show
        self._estimator = Estimator()
        self._policy: Policy | None = None
        self._began = clock()
        self._outage = BacklogOutage()
        self._backlog: tuple[float, Mapping[str, Mapping[str, Standing]]] | None = None
        self._seen, self._decision = Estimate(self._began, {}, {}), NOTHING

    def start(self) -> None:
        threading.Thread(target=self._run, name="autoscaler", daemon=True).start()

    def targets(self) -> dict[str, int]:
        """Wanted replicas by deployment; empty before the first decision."""
        decision = self._decision
        return by_deployment(decision.models, decision.pipelines)

    def status(self) -> ScalingStatus:
        """Plain data: the backlog of each pipeline, and the target of each deployment with its reason."""
        seen, decision, outage = self._seen, self._decision, self._outage.warning()
        backlog: dict[str, BacklogStatus] = {
            name: {
                "lag": found.waiting,
                "oldest_s": round(found.oldest_s, 1),
                "stale": found.stale,
                "arrival_per_s": round(found.arrival_per_s, 1),
                "partitions": len(found.lag),
                "tokens": {model: round(found.waiting * cost) for model, cost in found.cost.items()},
                "by_partition": {
                    partition: {"lag": lag, "oldest_s": round(found.ages.get(partition, 0.0), 1)}
                    for partition, lag in found.lag.items()
                },
            }
            for name, found in seen.pipelines.items()
        }
        return {
            "backlog": backlog,
            "targets": self.targets(),
            "reasons": {**decision.reasons},
            "warnings": {**decision.warnings, **(dict.fromkeys(self._rules.pipelines, outage) if outage else {})},
        }

    def look(self) -> None:
        """One turn: read, estimate, decide. Brokers and reports cannot make this method raise."""
        readings = self._readings()
        self._seen = seen = self._estimator.see(readings)
        if readings.at - self._began < FIRST_WATCH_S:
            return
        if self._policy is None:
            self._policy = Policy(self._rules, _running(readings))
        before, self._decision = self.targets(), self._policy.decide(seen)
        for name, target in self.targets().items():
            if target != before.get(name, target):
                logger.warning(
                    "%s: replicas %d -> %d (%s)", name, before[name], target, self._decision.reasons.get(name, "")
                )

    def _run(self) -> None:
        while True:
            try:
                self.look()
                reports = self._reports()
                self._show(
                    self.status(),
                    {name: fresh(reports["pipelines"].get(name, {})) for name in self._rules.pipelines},
                    {name: fresh(reports["models"].get(name, {})) for name in self._rules.models},
                )
            except Exception:  # a bug; without a decision the replicas stay as they are
                logger.exception("the autoscaler failed; the numbers of replicas stay as they are")
                self._decision = NOTHING
            time.sleep(LOOK_S)

    def _readings(self) -> Readings:
        try:
            self._backlog = (self._clock(), self._read_backlog())
            self._outage.answered()
        except StreamError as error:
            self._outage.failed(str(error))
        reports, now = self._reports(), self._clock()
        known = self._backlog if self._backlog and now - self._backlog[0] < BACKLOG_KEPT_S else None
        pipelines = {}
        for name in self._rules.pipelines:
            workers = fresh(reports["pipelines"].get(name, {}))
            backlog = _backlog(known[1][name], workers) if known and name in known[1] else None
            pipelines[name] = PipelineReadings(
                backlog,
                {
                    replica: WorkerCounts(stats["messages_in"], stats["cpu_s"], stats["tokens"])
                    for replica, stats in workers.items()
                },
            )
        models = {
            name: {
                replica: ReplicaCounts(
                    stats["tokens"],
                    stats["busy_s"],
                    stats["batches"],
                    stats["full_tokens"],
                    stats["measured_tokens_per_s"],
                )
                for replica, stats in fresh(reports["models"].get(name, {})).items()
            }
            for name in self._rules.models
        }
        return Readings(now, pipelines, models, _http(reports.get("gateway", {}).get(GATEWAY, {})))


def _http(gateways: Mapping[str, PlacedGatewayReport]) -> dict[str, dict[str, HttpCounts]]:
    """Counts of each model by gateway replica."""
    found: dict[str, dict[str, HttpCounts]] = {}
    for replica, stats in fresh(gateways).items():
        for model, counts in stats["models"].items():
            found.setdefault(model, {})[replica] = HttpCounts(counts["texts"], counts["tokens"], counts["waiting"])
    return found


def _backlog(asked: Mapping[str, Standing], workers: Mapping[str, WorkerReport]) -> dict[str, Backlog]:
    """The brokers' end and lag of each partition, corrected by the worker that holds the partition.

    The group's offset lags behind the work done but not committed, and behind records that end transactions. A worker
    knows both. A worker does not know the log's end while it pauses.
    """
    backlog = {}
    for partition, (end, lag) in asked.items():
        for stats in workers.values():
            if own := stats["partitions"].get(partition):
                lag = min(lag, own[0] + max(0, end - own[1]))
        backlog[partition] = Backlog(end, lag)
    return backlog


def _running(readings: Readings) -> dict[str, int]:
    return by_deployment(
        {name: len(found) for name, found in readings.models.items()},
        {name: len(found.workers) for name, found in readings.pipelines.items()},
    )
