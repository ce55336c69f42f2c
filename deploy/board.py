"""The application's root deployment: knows the latest numbers of every worker and model replica.

Everybody reports to it and nobody waits for it: without a board the stream goes on, only unseen.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ray import serve

log = logging.getLogger(__name__)
NAME = "board"
REPORT_S = 1.0
FORGET_S = 60.0


class Board:
    """`deployments`: the handles of all workers. Only held, so that one Serve application contains everything."""

    def __init__(self, deployments: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._deployments = deployments
        self._clock = clock
        self._latest: dict[tuple[str, str, str], tuple[float, dict[str, Any]]] = {}

    async def report(self, kind: str, name: str, replica: str, stats: dict[str, Any]) -> None:
        """Take the numbers of one replica. `kind`: "pipelines" | "models"; `name` as in the config."""
        self._latest[kind, name, replica] = (self._clock(), stats)

    async def status(self) -> dict[str, Any]:
        """{"pipelines": {name: {replica: stats}}, "models": {...}}; `age_s` is how old a replica's numbers are.

        A replica that has been silent for a minute is gone and forgotten.
        """
        now = self._clock()
        self._latest = {key: entry for key, entry in self._latest.items() if now - entry[0] < FORGET_S}
        status: dict[str, Any] = {"pipelines": {}, "models": {}}
        for (kind, name, replica), (at, stats) in sorted(self._latest.items()):
            status[kind].setdefault(name, {})[replica] = {"age_s": round(now - at, 1), **stats}
        return status


class Reporter:
    """Sends `stats()` of the replica that makes it to the board, every second, from a thread of its own.

    Never raises and never keeps its owner waiting, whatever happens to the board.
    """

    def __init__(self, kind: str, stats: Callable[[], dict[str, Any]], interval_s: float = REPORT_S) -> None:
        context = serve.get_replica_context()
        self._app, self._replica = context.app_name, context.replica_id.unique_id
        self._kind, self._name = kind, context.deployment.partition("-")[2]
        self._stats, self._interval_s = stats, interval_s
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
                if handle is None:
                    board = serve.get_deployment_handle(NAME, self._app)
                    handle = board.options(method_name="report", _by_reference=False)
                response = handle.remote(self._kind, self._name, self._replica, self._stats())
                response.result(timeout_s=10 * self._interval_s)
            except Exception as error:
                log.debug("the board cannot be reached: %s", type(error).__name__)
                if response is not None:
                    response.cancel()
