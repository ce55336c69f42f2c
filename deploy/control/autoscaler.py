"""Looks once a second, decides, and keeps what was decided: beside the control plane, which has the reports.

A new one (the control plane was started anew) watches for a while before it says anything, and begins with what runs.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from labelstream.deploy.control.reports import (
    BacklogStatus,
    ModelReport,
    PlacedModelReport,
    PlacedPipelineReport,
    Reports,
    ScalingStatus,
)
from labelstream.deploy.control.scaling.estimator import Estimate, Estimator
from labelstream.deploy.control.scaling.limits import Bounds, ModelRules, PipelineRules, Rules
from labelstream.deploy.control.scaling.policy import Decision, Policy
from labelstream.deploy.control.scaling.readings import Backlog, PipelineReadings, Readings, ReplicaCounts, WorkerCounts
from labelstream.deploy.names import by_deployment, used_models
from labelstream.workers.errors import StreamError
from labelstream.workers.settings import Settings
from labelstream.workers.stream.broker.backlog import Standing
from labelstream.workers.stream.report import WorkerReport

logger = logging.getLogger(__name__)
LOOK_S = 1.0
FIRST_WATCH_S = 20.0
FRESH_S = 10.0
BACKLOG_KEPT_S = 5.0
NOTHING = Decision({}, {}, {}, {})  # all stay as they are

ReadBacklog = Callable[[], Mapping[str, Mapping[int, Standing]]]
Placed = TypeVar("Placed", PlacedPipelineReport, PlacedModelReport)
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
    )


class Autoscaler:
    """`reports`: the latest of all replicas, with their `age_s`. `read_backlog` may wait; raises StreamError.

    `show` gets the status after each look, and the fresh reports of each pipeline and of each model.

    Owns a thread, from `start` to the end of the process.
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
        self._backlog: tuple[float, Mapping[str, Mapping[int, Standing]]] | None = None
        self._seen, self._decision = Estimate(self._began, {}, {}), NOTHING

    def start(self) -> None:
        threading.Thread(target=self._run, name="autoscaler", daemon=True).start()

    def targets(self) -> dict[str, int]:
        """By deployment; empty as long as nothing is decided."""
        decision = self._decision
        return by_deployment(decision.models, decision.pipelines)

    def status(self) -> ScalingStatus:
        """Plain data: per pipeline what waits, and per deployment what is wanted, and why."""
        seen, decision = self._seen, self._decision
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
            "warnings": {**decision.warnings},
        }

    def look(self) -> None:
        """One turn. Raises nothing that brokers or reports could cause."""
        readings = self._readings()
        self._seen = seen = self._estimator.see(readings)
        if readings.at - self._began < FIRST_WATCH_S:
            return
        if self._policy is None:
            self._policy = Policy(self._rules, _running(readings))
        before, self._decision = self.targets(), self._policy.decide(seen)
        for name, target in self.targets().items():
            if target != before.get(name, target):
                logger.warning("%s: %d -> %d (%s)", name, before[name], target, self._decision.reasons.get(name, ""))

    def _run(self) -> None:
        while True:
            try:
                self.look()
                reports = self._reports()
                self._show(
                    self.status(),
                    {name: _fresh(reports["pipelines"].get(name, {})) for name in self._rules.pipelines},
                    {name: _fresh(reports["models"].get(name, {})) for name in self._rules.models},
                )
            except Exception:  # a bug: the replicas stay as they are, which is what no news means
                logger.exception("the autoscaler has failed")
                self._decision = NOTHING
            time.sleep(LOOK_S)

    def _readings(self) -> Readings:
        try:
            self._backlog = (self._clock(), self._read_backlog())
        except StreamError as error:
            logger.info("%s", error)
        reports, now = self._reports(), self._clock()
        known = self._backlog if self._backlog and now - self._backlog[0] < BACKLOG_KEPT_S else None
        pipelines = {}
        for name in self._rules.pipelines:
            workers = _fresh(reports["pipelines"].get(name, {}))
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
                for replica, stats in _fresh(reports["models"].get(name, {})).items()
            }
            for name in self._rules.models
        }
        return Readings(now, pipelines, models)


def _fresh(reports: Mapping[str, Placed]) -> dict[str, Placed]:
    return {replica: stats for replica, stats in reports.items() if stats.get("age_s", 0.0) < FRESH_S}


def _backlog(asked: Mapping[int, Standing], workers: Mapping[str, WorkerReport]) -> dict[int, Backlog]:
    """What the brokers say, made finer by who holds the partition.

    The group's offset is behind by what is done but not committed, and by the records that end transactions, for good.
    A worker knows both, but not the log's end: it asks for nothing as long as it pauses.
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
