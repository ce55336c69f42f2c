"""The application's root deployment: knows the latest numbers of every worker and model replica.

Everybody reports to it and nobody waits for it: without it the stream goes on, only unseen. An operator's commands
to workers lie here until the workers fetch them, each with the answer to its next report.

But for one thing: what a model replica may die of is noted here beforehand. The replica's own last words come too late:
on a busy machine its answers were seen to get lost that were given 100 ms before its death.
"""

import asyncio
import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from labelstream.deploy.cluster import network
from labelstream.deploy.control.autoscaler import Autoscaler
from labelstream.deploy.control.deployed import UserConfig
from labelstream.deploy.control.reporter import MAX_REPORT_S, REPORT_S
from labelstream.deploy.control.reports import (
    Answers,
    Kind,
    Outcome,
    PlacedModelReport,
    PlacedPipelineReport,
    Reports,
    Status,
    Told,
)
from labelstream.deploy.control.scaling.concurrency import MIN_CALLS, calls_per_worker
from labelstream.deploy.names import BOARD
from labelstream.deploy.observability import logs
from labelstream.deploy.observability.metrics.export import Exporter
from labelstream.deploy.observability.metrics.samples import of_board
from labelstream.workers.config_file import load_settings
from labelstream.workers.stream.broker.backlog import BacklogProbe
from labelstream.workers.stream.supervision.commands import Command

MAX_REPORTS_PER_S = 300  # each was measured to cost the control plane 1.3 ms of CPU
FORGET_S = 60.0
MAX_NOTES = 1_000
SILENT_S = 10.0  # nobody waits for the answer of a worker that has not reported for so long
COMMAND_S, ANSWER_S = 30.0, 3.0  # the latter of the former are for the answer's way back

Report = PlacedPipelineReport | PlacedModelReport


class _Order(NamedTuple):
    """A command under way. `until`: in the control plane's time."""

    command: Command
    until: float
    answers: Answers


def report_s(reporters: int) -> float:
    """In how many seconds each of so many processes is to report again."""
    return min(MAX_REPORT_S, max(REPORT_S, reporters / MAX_REPORTS_PER_S))


class ControlPlane:
    """`deployments`: the handles of all workers. Only held, so that one Serve application contains everything.

    `config`: the settings without secrets; without them nobody decides how many replicas there are to be.
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
        self._notes: dict[str, tuple[str, float]] = {}  # by replica: ticket, and since when
        self._models_of: dict[str, tuple[str, ...]] = {}
        self._counted_at, self._calls, self._reporters = -math.inf, dict[str, int](), 0
        self._orders: dict[str, dict[str, _Order]] = {name: {} for name in deployments}
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
                BacklogProbe(settings).read,
                lambda *seen: exporter.try_to_export(of_board(*seen)),
            )
            self._autoscaler.start()

    def reconfigure(self, user_config: UserConfig) -> None:
        """Serve's hook: behind the constructor, and at each deployment over this one."""
        self._deployed = user_config

    async def deployed(self) -> UserConfig | None:
        """Who has deployed what; None where nobody said so."""
        return self._deployed

    async def report(self, kind: Kind, name: str, replica: str, stats: Report, answers: Answers | None = None) -> Told:
        """Take the numbers of one replica. `kind`: "pipelines" | "models"; `name` as in the config.

        `answers`: to earlier commands, by their ids. Returns among others the commands that this worker has not
        answered.
        """
        now = self._clock()
        self._latest[kind, name, replica] = (now, stats)
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
        """Who reports, and how many calls that makes; not at each report, of which there may be hundreds a second."""
        fresh = [(kind, name) for (kind, name, _), (at, _) in self._latest.items() if now - at < SILENT_S]
        replicas, workers = (
            Counter(name for kind, name in fresh if kind == wanted) for wanted in ("models", "pipelines")
        )
        self._counted_at, self._reporters = now, len(fresh)
        self._calls = calls_per_worker(self._models_of, replicas, workers)

    async def command(self, pipeline: str, command: Command, timeout_s: float = COMMAND_S) -> Outcome:
        """Have `pipeline`'s workers obey `command`; those that do not answer within `timeout_s` have no answer."""
        known = sorted(self._deployments)
        if pipeline not in self._deployments:
            return {"known": known, "workers": [], "answers": {}}
        order_id, order = uuid.uuid4().hex, _Order(command, self._clock() + timeout_s, {})
        self._orders[pipeline][order_id] = order
        try:
            while (waiting := self._workers(pipeline) - order.answers.keys()) and self._clock() < order.until:
                await asyncio.sleep(REPORT_S / 10)
        finally:
            del self._orders[pipeline][order_id]
        return {"known": known, "workers": sorted(waiting | order.answers.keys()), "answers": order.answers}

    def _workers(self, pipeline: str) -> set[str]:
        """The replicas that report."""
        now = self._clock()
        return {
            replica
            for (kind, name, replica), (at, _) in self._latest.items()
            if kind == "pipelines" and name == pipeline and now - at < SILENT_S
        }

    async def status(self) -> Status:
        """All reports, and what is decided. A replica that has been silent for a minute is gone and forgotten."""
        now = self._clock()
        self._latest = {key: entry for key, entry in self._latest.items() if now - entry[0] < FORGET_S}
        status: Status = {**self._reports()}
        if self._autoscaler is not None:
            status["scaling"] = self._autoscaler.status()
        if self._deployed is not None:
            status["owner"] = self._deployed["owner"]
        return status

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve's hook: how many replicas each deployment is to have, on their way to its controller."""
        return {} if self._autoscaler is None else dict(self._autoscaler.targets())

    def _reports(self) -> Reports:
        now, latest = self._clock(), dict(self._latest)
        reports: dict[str, dict[str, dict[str, object]]] = {
            "pipelines": {name: {} for name in self._deployments},
            "models": {},
        }
        for (kind, name, replica), (at, stats) in sorted(latest.items(), key=lambda entry: entry[0]):
            reports[kind].setdefault(name, {})[replica] = {"age_s": round(now - at, 1), **stats}
        return cast("Reports", reports)  # by their kinds

    async def note(self, replica: str, ticket: str | None) -> None:
        """`replica` is about to run what `ticket` stands for; None: it has done so and lives."""
        self._notes.pop(replica, None)
        if ticket is not None:
            self._notes[replica] = ticket, self._clock()
        while len(self._notes) > MAX_NOTES:  # of the dead, in the order of their deaths
            del self._notes[next(iter(self._notes))]

    async def noted(self, ticket: str) -> float | None:
        """For how many seconds some replica has been running `ticket`, or since when it died of it; None: neither."""
        return next((self._clock() - at for noted, at in self._notes.values() if noted == ticket), None)
