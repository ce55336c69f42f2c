"""The control plane, root deployment of the application: keeps the latest report of every worker and model replica.

Processes report without waiting for the control plane, so the stream runs on without it. The control plane keeps an
operator's commands until the workers fetch them. Each worker answers with its next report.

Exception: a model replica waits until its note about suspects is stored, before it runs them. On a busy machine, the
answers of a replica's last 100 ms were lost.
"""

import asyncio
import math
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple, cast

from labelstream.deploy.cluster import network
from labelstream.deploy.control.autoscaler import Autoscaler
from labelstream.deploy.control.deployed import UserConfig
from labelstream.deploy.control.reporter import MAX_REPORT_S, REPORT_S
from labelstream.deploy.control.reports import (
    ANSWER_S,
    COMMAND_S,
    RATES,
    Answers,
    Kind,
    Outcome,
    PageStatus,
    PlacedGatewayReport,
    PlacedModelReport,
    PlacedPipelineReport,
    Reports,
    Status,
    Told,
    Totals,
)
from labelstream.deploy.control.scaling.concurrency import MIN_CALLS, calls_per_worker
from labelstream.deploy.names import BOARD
from labelstream.deploy.observability import logs
from labelstream.deploy.observability.metrics.export import Exporter
from labelstream.deploy.observability.metrics.samples import of_board
from labelstream.workers.config_file import load_settings
from labelstream.workers.stream.broker.backlog import BacklogProbe
from labelstream.workers.stream.report import RecentResult
from labelstream.workers.stream.supervision.commands import Command

MAX_REPORTS_PER_S = 300  # one report costs the control plane 1.3 ms of CPU, measured
FORGET_S = 60.0
MAX_NOTES = 1_000
SILENT_S = 10.0  # commands do not wait for a worker that is silent for this long
RATE_REPORTS = 4  # a rate covers the time between the first and the last of these reports

Report = PlacedPipelineReport | PlacedModelReport | PlacedGatewayReport


class _PendingCommand(NamedTuple):
    """A command that waits for answers. `until`: deadline by the control plane's clock."""

    command: Command
    until: float
    answers: Answers


def report_s(reporters: int) -> float:
    """Seconds between two reports of one process, of `reporters` in all."""
    return min(MAX_REPORT_S, max(REPORT_S, reporters / MAX_REPORTS_PER_S))


class ControlPlane:
    """The control plane, a deployment with one replica.

    - `deployments`: the handles of all workers, held so that one Serve application contains everything.
    - `config`: the settings without secrets; None disables autoscaling.
    """

    def __init__(
        self,
        deployments: Mapping[str, Any],
        config: dict[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        network.set_up_replica()
        self._deployments = deployments
        self._clock = clock
        self._latest: dict[tuple[str, str, str], tuple[float, Report]] = {}
        self._counters: dict[tuple[str, str, str], deque[tuple[float, dict[str, float]]]] = {}
        self._ended: dict[tuple[str, str], Totals] = {}  # by pipeline and replica
        self._recent: dict[tuple[str, str], list[RecentResult]] = {}  # by pipeline and replica
        self._notes: dict[str, tuple[str, float]] = {}  # replica -> ticket of its suspects, time of the note
        self._models_of: dict[str, tuple[str, ...]] = {}
        self._counted_at, self._calls, self._reporters = -math.inf, dict[str, int](), 0
        self._orders: dict[str, dict[str, _PendingCommand]] = {name: {} for name in deployments}
        self._autoscaler: Autoscaler | None = None
        self._deployed: UserConfig | None = None
        if config is not None:
            settings = load_settings(config)
            self._models_of = {name: pipeline.allowed_models for name, pipeline in settings.pipelines.items()}
            logs.set_up(settings.logs, deployment=BOARD)
            exporter = Exporter()
            self._autoscaler = Autoscaler(
                settings,
                self._reports,
                BacklogProbe(settings).read if settings.pipelines else dict,
                lambda *seen: exporter.try_to_export(of_board(*seen)),
            )
            self._autoscaler.start()

    def reconfigure(self, user_config: UserConfig) -> None:
        """Hook of Serve: runs after the constructor and at each redeployment."""
        self._deployed = user_config

    async def deployed(self) -> UserConfig | None:
        """The deployed config and its owner; None if the deployer did not pass them."""
        return self._deployed

    async def report(self, kind: Kind, name: str, replica: str, stats: Report, answers: Answers | None = None) -> Told:
        """Store the report of one replica. `name`: as in the config, or that of the gateway.

        `answers`: answers to earlier commands, by command id. Returns the commands that this worker has not answered,
        the number of calls in flight and the seconds until the next report.
        """
        now = self._clock()
        # Samples stand in no status: they may hold texts.
        if recent := cast("PlacedPipelineReport", stats).pop("recent", None):
            self._recent[name, replica] = recent
        self._latest[kind, name, replica] = (now, stats)
        self._ended.pop((name, replica), None)
        counters = {key: cast("float", stats[key]) for key in RATES.get(kind, ()) if key in stats}
        self._counters.setdefault((kind, name, replica), deque(maxlen=RATE_REPORTS)).append((now, counters))
        orders = self._orders.get(name, {}) if kind == "pipelines" else {}
        for order_id, answer in (answers or {}).items():
            if order_id in orders:
                orders[order_id].answers[replica] = answer
        if now >= self._counted_at + REPORT_S:
            self._count(now)
        return Told(
            [
                {**order.command, "id": order_id, "timeout_s": order.until - now - ANSWER_S}
                for order_id, order in orders.items()
                if replica not in order.answers
            ],
            self._calls.get(name, MIN_CALLS),
            report_s(self._reporters),
        )

    def _count(self, now: float) -> None:
        """Count the reporters and the calls per worker, once a period: hundreds of reports a second are possible."""
        fresh = [(kind, name) for (kind, name, _), (at, _) in self._latest.items() if now - at < SILENT_S]
        replicas, workers = (
            Counter(name for kind, name in fresh if kind == wanted) for wanted in ("models", "pipelines")
        )
        self._counted_at, self._reporters = now, len(fresh)
        self._calls = calls_per_worker(self._models_of, replicas, workers)

    async def command(self, pipeline: str, command: Command, timeout_s: float = COMMAND_S) -> Outcome:
        """Send `command` to the workers of `pipeline` and collect the answers that arrive within `timeout_s`."""
        known = sorted(self._deployments)
        if pipeline not in self._deployments:
            return {"known": known, "workers": [], "answers": {}}
        order_id, order = uuid.uuid4().hex, _PendingCommand(command, self._clock() + timeout_s, {})
        self._orders[pipeline][order_id] = order
        try:
            while (waiting := self._workers(pipeline) - order.answers.keys()) and self._clock() < order.until:
                await asyncio.sleep(REPORT_S / 10)
        finally:
            del self._orders[pipeline][order_id]
        return {"known": known, "workers": sorted(waiting | order.answers.keys()), "answers": order.answers}

    def _workers(self, pipeline: str) -> set[str]:
        """Replicas of the pipeline that have reported in the last SILENT_S."""
        now = self._clock()
        return {
            replica
            for (kind, name, replica), (at, _) in self._latest.items()
            if kind == "pipelines" and name == pipeline and now - at < SILENT_S
        }

    async def status(self) -> Status:
        """All reports and decisions. Of replicas that are silent for FORGET_S only the totals of workers are kept."""
        now = self._clock()
        self._keep_totals(key for key, (at, _) in self._latest.items() if now - at >= FORGET_S)
        self._latest = {key: entry for key, entry in self._latest.items() if now - entry[0] < FORGET_S}
        self._counters = {key: entries for key, entries in self._counters.items() if key in self._latest}
        status: Status = {**self._reports()}
        if self._autoscaler is not None:
            status["scaling"] = self._autoscaler.status()
        if self._deployed is not None:
            status["owner"] = self._deployed["owner"]
        if self._ended:
            status["ended"] = {
                name: [totals for (pipeline, _), totals in self._ended.items() if pipeline == name]
                for name in sorted({pipeline for pipeline, _ in self._ended})
            }
        return status

    async def page_status(self) -> PageStatus:
        """The status with samples of results, without the replicas that Serve knows to live."""
        status = await self.status()
        known = {(name, replica) for name, workers in status["pipelines"].items() for replica in workers}
        self._recent = {key: found for key, found in self._recent.items() if key in known}
        recent: dict[str, list[RecentResult]] = {}
        for (name, _), found in self._recent.items():
            recent[name] = sorted([*recent.get(name, []), *found], key=itemgetter("at"))
        return {**status, "recent": recent}

    def _keep_totals(self, keys: Iterable[tuple[str, str, str]]) -> None:
        for kind, name, replica in keys:
            if kind == "pipelines":
                report = self._latest[kind, name, replica][1]
                totals = {key: report[key] for key in Totals.__annotations__ if key in report}
                self._ended[name, replica] = cast("Totals", totals)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Hook of Serve: the target of each deployment, which Serve sends to its controller."""
        return {} if self._autoscaler is None else dict(self._autoscaler.targets())

    def _reports(self) -> Reports:
        now, latest = self._clock(), dict(self._latest)
        reports: dict[str, dict[str, dict[str, object]]] = {
            "pipelines": {name: {} for name in self._deployments},
            "models": {},
        }
        for (kind, name, replica), (at, stats) in sorted(latest.items(), key=lambda entry: entry[0]):
            first_at, counters = self._counters[kind, name, replica][0]
            before = {"before": {"age_s": round(now - first_at, 1), **counters}} if counters and first_at < at else {}
            reports.setdefault(kind, {}).setdefault(name, {})[replica] = {
                "age_s": round(now - at, 1),
                **before,
                **stats,
            }
        return cast("Reports", reports)  # the kind decides the type of the reports

    async def note(self, replica: str, ticket: str | None) -> None:
        """Store that `replica` is about to run the suspects of `ticket`. None: the replica survived them."""
        self._notes.pop(replica, None)
        if ticket is not None:
            self._notes[replica] = ticket, self._clock()
        while len(self._notes) > MAX_NOTES:  # the oldest notes are those of dead replicas
            del self._notes[next(iter(self._notes))]

    async def noted(self, ticket: str) -> float | None:
        """Seconds since a replica noted `ticket`, if the suspects still run or killed the replica; else None."""
        return next((self._clock() - at for noted, at in self._notes.values() if noted == ticket), None)
