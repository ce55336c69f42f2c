"""What processes tell the control plane, what it answers, and the notes of what they are about to run."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from ray import serve

from labelstream.deploy.control.reports import Answers, Kind, ModelReport, Order, PipelineReport, Place, Told
from labelstream.deploy.names import BOARD
from labelstream.deploy.observability.metrics.export import Exporter
from labelstream.deploy.observability.metrics.samples import Sample
from labelstream.workers.errors import InferenceError
from labelstream.workers.stream.supervision.commands import Command, CommandAnswer

logger = logging.getLogger(__name__)
REPORT_S, MAX_REPORT_S = 1.0, 5.0
NOTE_TIMEOUT_S = 10.0
Report = TypeVar("Report", PipelineReport, ModelReport)
TakeCommand = Callable[[Command, float], "Future[CommandAnswer]"]


def replica_id() -> str:
    """Of this replica, by Serve."""
    return serve.get_replica_context().replica_id.unique_id


class Notes:
    """Notes at the control plane what this replica runs."""

    def __init__(self) -> None:
        context = serve.get_replica_context()
        self._app, self._replica = context.app_name, context.replica_id.unique_id
        self._note: Any = None

    def put(self, ticket: str | None) -> None:
        """Waits until the control plane has it. Raises InferenceError when it cannot be reached."""
        try:
            self._note = self._note or _method(self._app, "note")
            self._note.remote(self._replica, ticket).result(timeout_s=NOTE_TIMEOUT_S)
        except Exception as error:
            raise InferenceError(f"the control plane cannot be reached: {type(error).__name__}") from error


async def noted(app: str, ticket: str) -> float | None:
    """See `ControlPlane.noted`; None where nobody answers: without evidence a record is presumed innocent."""
    try:
        async with asyncio.timeout(NOTE_TIMEOUT_S):
            method = await asyncio.to_thread(_method, app, "noted")
            return await method.remote(ticket)
    except Exception as error:
        logger.warning("the control plane cannot be reached: %s", type(error).__name__)
        return None


def _method(app: str, name: str) -> Any:
    return serve.get_deployment_handle(BOARD, app).options(method_name=name, _by_reference=False)


class Reporter(Generic[Report]):
    """Sends `stats()` of the replica that makes it to the control plane, as often as that asks, from its own thread.

    And, by `samples`, to whoever scrapes this process's metrics; `samples` gets the name in the config and the stats.
    Never raises and never keeps its owner waiting, whatever the control plane does.
    `take`: gets each command that comes back, once, with the seconds that it has left; its future resolves with the
    answer, a tuple of status and text. `set_target_in_flight`: gets how many calls to keep open.
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
        self._kind, self._name = kind, context.deployment.partition("-")[2]
        self._stats, self._interval_s = stats, interval_s
        self._place: Place = {"replica": self._replica, "node": socket.gethostname(), "pid": os.getpid()}
        self._samples, self._exporter = samples, exporter or Exporter()
        self._take, self._set_target_in_flight = take, set_target_in_flight
        self._taken: dict[str, Future[CommandAnswer]] = {}
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
                logger.debug("the control plane cannot be reached: %s", type(error).__name__)
                if response is not None:
                    response.cancel()

    def _answers(self) -> Answers:
        return {
            order_id: {"status": answer.result().status, "text": answer.result().text}
            for order_id, answer in self._taken.items()
            if answer.done()
        }

    def _pass_on(self, commands: list[Order]) -> None:
        """The control plane repeats a command until it has our answer, also one that we have taken."""
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
