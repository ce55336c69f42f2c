"""Reports of a process to the control plane, the answers, and the notes of what a replica is about to run."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from ray import serve

from labelstream.deploy.control.reports import (
    Answers,
    GatewayReport,
    Kind,
    ModelReport,
    Order,
    PipelineReport,
    Place,
    Told,
)
from labelstream.deploy.names import BOARD
from labelstream.deploy.observability.metrics.export import Exporter
from labelstream.deploy.observability.metrics.samples import Sample
from labelstream.workers.errors import InferenceError
from labelstream.workers.stream.supervision.commands import Command, CommandAnswer

logger = logging.getLogger(__name__)
REPORT_S, MAX_REPORT_S = 1.0, 5.0
NOTE_TIMEOUT_S = 10.0
Report = TypeVar("Report", PipelineReport, ModelReport, GatewayReport)
TakeCommand = Callable[[Command, float], "Future[CommandAnswer]"]


def replica_id() -> str:
    """Serve's id of this replica."""
    return serve.get_replica_context().replica_id.unique_id


class Notes:
    """Notes at the control plane what this replica runs."""

    def __init__(self) -> None:
        context = serve.get_replica_context()
        self._app, self._replica = context.app_name, context.replica_id.unique_id
        self._note: Any = None

    def put(self, ticket: str | None) -> None:
        """Wait until the control plane has the note. Raises InferenceError if it is unreachable."""
        try:
            self._note = self._note or _method(self._app, "note")
            self._note.remote(self._replica, ticket).result(timeout_s=NOTE_TIMEOUT_S)
        except Exception as error:
            raise InferenceError(f"the control plane is unreachable: {type(error).__name__}") from error


async def noted(app: str, ticket: str) -> float | None:
    """See `ControlPlane.noted`. None if the control plane is unreachable: no evidence means no suspicion."""
    try:
        async with asyncio.timeout(NOTE_TIMEOUT_S):
            method = await asyncio.to_thread(_method, app, "noted")
            return await method.remote(ticket)
    except Exception as error:
        logger.warning("the control plane is unreachable: %s", type(error).__name__)
        return None


def _method(app: str, name: str) -> Any:
    return serve.get_deployment_handle(BOARD, app).options(method_name=name, _by_reference=False)


class Reporter(Generic[Report]):
    """Sends `stats()` of its replica to the control plane, as often as the control plane asks, from a thread of its
    own.

    - `samples`: makes metrics of the name in the config and the stats, for a scraper of this process.
    - `take`: gets each command once, with the seconds left; its future resolves with status and text.
    - `set_target_in_flight`: gets the number of calls to keep in flight.

    Never raises, and never makes its owner wait.
    """

    def __init__(
        self,
        kind: Kind,
        stats: Callable[[], Report],
        samples: Callable[[str, Report], Iterable[Sample]],
        interval_s: float = REPORT_S,
        take: TakeCommand | None = None,
        exporter: Exporter | None = None,
        set_target_in_flight: Callable[[int], None] = lambda calls: None,
    ) -> None:
        context = serve.get_replica_context()
        self._app, self._replica = context.app_name, context.replica_id.unique_id
        self._kind, self._name = kind, context.deployment.partition("-")[2] or context.deployment
        self._stats, self._interval_s = stats, interval_s
        self._place: Place = {"replica": self._replica, "node": socket.gethostname(), "pid": os.getpid()}
        self._samples, self._exporter = samples, exporter or Exporter()
        self._take, self._set_target_in_flight = take, set_target_in_flight
        self._taken: dict[str, Future[CommandAnswer]] = {}
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="reporter", daemon=True).start()

    def stop(self) -> None:
        """Send no more reports. Does not wait for a report under way."""
        self._stopped.set()

    def _run(self) -> None:
        handle: Any = None
        while not self._stopped.wait(self._interval_s):
            response: Any = None
            try:
                stats = self._stats()
                self._exporter.try_to_export(self._samples(self._name, stats))
                if handle is None:
                    handle = _method(self._app, "report")
                report = {**self._place, **stats}
                response = handle.remote(self._kind, self._name, self._replica, report, self._answers())
                told: Told = response.result(timeout_s=10 * self._interval_s)
                self._pass_on(told.commands)
                self._set_target_in_flight(told.calls)
                self._interval_s = told.every_s
            except Exception as error:
                logger.debug("the control plane is unreachable: %s", type(error).__name__)
                if response is not None:
                    response.cancel()

    def _answers(self) -> Answers:
        return {
            order_id: {"status": answer.result().status, "text": answer.result().text}
            for order_id, answer in self._taken.items()
            if answer.done()
        }

    def _pass_on(self, commands: list[Order]) -> None:
        """Run new commands. The control plane repeats a command until it has the answer."""
        if self._take is None:
            return
        self._taken = {
            order_id: answer
            for order_id, answer in self._taken.items()
            if not answer.done() or any(command["id"] == order_id for command in commands)
        }
        for command in commands:
            if command["id"] not in self._taken:
                self._taken[command["id"]] = self._take(command, command["timeout_s"])
