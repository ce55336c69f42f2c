"""The application's root deployment: knows the latest numbers of every worker and model replica.

Everybody reports to it and nobody waits for it: without a board the stream goes on, only unseen. An operator's commands
to workers lie here until the workers fetch them, each with the answer to its next report.

But for one thing: what a model replica may die of is noted here beforehand. The replica's own last words come too late:
on a busy machine its answers were seen to get lost that were given 100 ms before its death.
"""

import asyncio
import logging
import math
import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from ray import serve

from labelstream.deploy.control.autoscaler import Autoscaler
from labelstream.deploy.control.scaling.concurrency import LEAST_CALLS, calls_per_worker
from labelstream.deploy.names import BOARD
from labelstream.deploy.observability import logs
from labelstream.deploy.observability.metrics.export import Exporter
from labelstream.deploy.observability.metrics.samples import Sample, of_board
from labelstream.workers.errors import InferenceError
from labelstream.workers.settings import load_settings
from labelstream.workers.stream.broker.backlog import BacklogProbe

log = logging.getLogger(__name__)
REPORT_S, MOST_REPORT_S = 1.0, 5.0
MOST_REPORTS_PER_S = 300  # each was measured to cost the board 1.3 ms of CPU
FORGET_S = 60.0
NOTE_TIMEOUT_S = 10.0
MOST_NOTES = 1_000
SILENT_S = 10.0  # nobody waits for the answer of a worker that has not reported for so long
COMMAND_S, ANSWER_S = 30.0, 3.0  # the latter of the former are for the answer's way back
# By replica or by command: status and text, as in labelstream.workers.stream.supervision.commands
Answers = dict[str, dict[str, str]]
Samples = Callable[[str, Mapping[str, Any]], Iterable[Sample]]
TakeCommand = Callable[[dict[str, Any], float], "Future[Any]"]


class _Order(NamedTuple):
    """A command under way. `until`: in the board's time."""

    command: dict[str, Any]
    until: float
    answers: Answers


class Told(NamedTuple):
    """What the board answers to a report: `commands` to obey, each with its `id` and the seconds that it has left,
    `timeout_s`; how many `calls` a worker keeps open; and in how many seconds it wants to hear again.
    """

    commands: list[dict[str, Any]]
    calls: int
    every_s: float


def report_s(reporters: int) -> float:
    """In how many seconds each of so many processes is to report again."""
    return min(MOST_REPORT_S, max(REPORT_S, reporters / MOST_REPORTS_PER_S))


class Board:
    """`deployments`: the handles of all workers. Only held, so that one Serve application contains everything.

    `config`: the settings without secrets; without them nobody decides how many replicas there are to be.
    """

    def __init__(
        self, deployments: Mapping[str, Any], config: dict[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deployments = deployments
        self._clock = clock
        self._latest: dict[tuple[str, str, str], tuple[float, dict[str, Any]]] = {}
        self._notes: dict[str, tuple[str, float]] = {}  # by replica: ticket, and since when
        self._models_of: dict[str, tuple[str, ...]] = {}
        self._counted_at, self._calls, self._reporters = -math.inf, dict[str, int](), 0
        self._orders: dict[str, dict[str, _Order]] = {name: {} for name in deployments}
        self._autoscaler: Autoscaler | None = None
        if config is not None:
            settings = load_settings(config)
            self._models_of = {name: pipeline.allowed_models for name, pipeline in settings.pipelines.items()}
            logs.set_up(settings.logs, deployment=BOARD)
            exporter = Exporter()
            self._autoscaler = Autoscaler(settings, self._reports, BacklogProbe(settings).read,
                                          lambda *seen: exporter.try_to_export(of_board(*seen)))
            self._autoscaler.start()

    async def report(
        self, kind: str, name: str, replica: str, stats: dict[str, Any], answers: Answers | None = None
    ) -> Told:
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
            [{**order.command, "id": order_id, "timeout_s": order.until - now - ANSWER_S}
             for order_id, order in orders.items() if replica not in order.answers],
            self._calls.get(name, LEAST_CALLS),
            report_s(self._reporters),
        )  # fmt: skip

    def _count(self, now: float) -> None:
        """Who reports, and how many calls that makes; not at each report, of which there may be hundreds a second."""
        fresh = [(kind, name) for (kind, name, _), (at, _) in self._latest.items() if now - at < SILENT_S]
        replicas, workers = (Counter(name for kind, name in fresh if kind == wanted)
                             for wanted in ("models", "pipelines"))
        self._counted_at, self._reporters = now, len(fresh)
        self._calls = calls_per_worker(self._models_of, replicas, workers)

    async def command(self, pipeline: str, command: dict[str, Any], timeout_s: float = COMMAND_S) -> dict[str, Any]:
        """Have `pipeline`'s workers obey `command`.

        {"known": the pipelines, "workers": the replicas, "answers": of those that gave one within `timeout_s`}.
        """
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
        return {replica for (kind, name, replica), (at, _) in self._latest.items()
                if kind == "pipelines" and name == pipeline and now - at < SILENT_S}

    async def status(self) -> dict[str, Any]:
        """{"pipelines": {name: {replica: stats}}, "models": {...}}; `age_s` is how old a replica's numbers are.

        And "scaling", as `Autoscaler.status` has it. A replica that has been silent for a minute is gone and forgotten.
        """
        now = self._clock()
        self._latest = {key: entry for key, entry in self._latest.items() if now - entry[0] < FORGET_S}
        scaling = {} if self._autoscaler is None else {"scaling": self._autoscaler.status()}
        return {**self._reports(), **scaling}

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve's hook: how many replicas each deployment is to have, on their way to its controller."""
        return {} if self._autoscaler is None else dict(self._autoscaler.targets())

    def _reports(self) -> dict[str, Any]:
        now, latest = self._clock(), dict(self._latest)
        reports: dict[str, Any] = {"pipelines": {name: {} for name in self._deployments}, "models": {}}
        for (kind, name, replica), (at, stats) in sorted(latest.items(), key=lambda entry: entry[0]):
            reports[kind].setdefault(name, {})[replica] = {"age_s": round(now - at, 1), **stats}
        return reports

    async def note(self, replica: str, ticket: str | None) -> None:
        """`replica` is about to run what `ticket` stands for; None: it has done so and lives."""
        self._notes.pop(replica, None)
        if ticket is not None:
            self._notes[replica] = ticket, self._clock()
        while len(self._notes) > MOST_NOTES:  # of the dead, in the order of their deaths
            del self._notes[next(iter(self._notes))]

    async def noted(self, ticket: str) -> float | None:
        """For how many seconds some replica has been running `ticket`, or since when it died of it; None: neither."""
        return next((self._clock() - at for noted, at in self._notes.values() if noted == ticket), None)


class Notes:
    """Notes at the board what this replica runs."""

    def __init__(self) -> None:
        context = serve.get_replica_context()
        self._app, self._replica = context.app_name, context.replica_id.unique_id
        self._note: Any = None

    def put(self, ticket: str | None) -> None:
        """Waits until the board has it. Raises InferenceError when it cannot be reached."""
        try:
            self._note = self._note or _method(self._app, "note")
            self._note.remote(self._replica, ticket).result(timeout_s=NOTE_TIMEOUT_S)
        except Exception as error:
            raise InferenceError(f"the board cannot be reached: {type(error).__name__}") from error


async def noted(app: str, ticket: str) -> float | None:
    """See `Board.noted`; None where the board cannot be reached: who is not known to be at fault is not."""
    try:
        async with asyncio.timeout(NOTE_TIMEOUT_S):
            method = await asyncio.to_thread(_method, app, "noted")
            return await method.remote(ticket)
    except Exception as error:
        log.warning("the board cannot be reached: %s", type(error).__name__)
        return None


def _method(app: str, name: str) -> Any:
    return serve.get_deployment_handle(BOARD, app).options(method_name=name, _by_reference=False)


class Reporter:
    """Sends `stats()` of the replica that makes it to the board, as often as that wants, from a thread of its own.

    And, by `samples`, to whoever scrapes this process's metrics; `samples` gets the name in the config and the stats,
    with the replica's id as `replica`. Never raises and never keeps its owner waiting, whatever happens to the board.
    `take`: gets each command that comes back, once, with the seconds that it has left; its future resolves with the
    answer, a tuple of status and text. `keep_busy`: gets how many calls to keep open.
    """

    def __init__(
        self, kind: str, stats: Callable[[], dict[str, Any]], samples: Samples, interval_s: float = REPORT_S,
        take: TakeCommand | None = None, exporter: Exporter | None = None,
        keep_busy: Callable[[int], None] = lambda calls: None,
    ) -> None:
        context = serve.get_replica_context()
        self._app, self._replica = context.app_name, context.replica_id.unique_id
        self._kind, self._name = kind, context.deployment.partition("-")[2]
        self._stats, self._interval_s = stats, interval_s
        self._place = {"replica": self._replica, "node": socket.gethostname(), "pid": os.getpid()}
        self._samples, self._exporter = samples, exporter or Exporter()
        self._take, self._keep_busy = take, keep_busy
        self._taken: dict[str, Future[Any]] = {}
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="reporter", daemon=True).start()

    def stop(self) -> None:
        """Send no more; does not wait for a report under way."""
        self._stopped.set()

    def _run(self) -> None:
        handle: Any = None
        while not self._stopped.wait(self._interval_s):
            response: Any = None
            try:
                report = {**self._place, **self._stats()}
                self._exporter.try_to_export(self._samples(self._name, report))
                if handle is None:
                    handle = _method(self._app, "report")
                response = handle.remote(self._kind, self._name, self._replica, report, self._answers())
                told: Told = response.result(timeout_s=10 * self._interval_s)
                self._pass_on(told.commands)
                self._keep_busy(told.calls)
                self._interval_s = told.every_s
            except Exception as error:
                log.debug("the board cannot be reached: %s", type(error).__name__)
                if response is not None:
                    response.cancel()

    def _answers(self) -> Answers:
        return {order_id: {"status": answer.result()[0], "text": answer.result()[1]}
                for order_id, answer in self._taken.items() if answer.done()}

    def _pass_on(self, commands: list[dict[str, Any]]) -> None:
        """The board repeats a command until it has our answer, also one that we have taken."""
        if self._take is None:
            return
        self._taken = {order_id: answer for order_id, answer in self._taken.items()
                       if not answer.done() or any(command["id"] == order_id for command in commands)}
        for command in commands:
            if command["id"] not in self._taken:
                self._taken[command["id"]] = self._take(command, command["timeout_s"])
