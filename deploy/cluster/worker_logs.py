"""The log lines of workers, models and the control plane on all nodes.

Ray's own `log_to_driver` omits lines of a Serve that another command started, merges similar lines, and shows the lines
of all applications. So this module reads Ray's subscription, or the files themselves on one machine.
"""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelstream.deploy.observability.log_files import LogFiles
from labelstream.deploy.observability.log_lines import LineReader, of_controller

logger = logging.getLogger(__name__)
POLL_S = 0.5
WORKER_DIED = "A worker died or was killed"
QUIET_S, LAST_S = 0.5, 3.0  # QUIET_S: silence that ends the wait; LAST_S: the longest wait


class WorkerLogs:
    """Calls `say` with each new log line of Labelstream, in a thread of its own. `source`: see `source_of`.

    Lines of Serve's controller about replicas of Labelstream go to the log of this process.
    """

    def __init__(self, say: Callable[[str], None], source: Any) -> None:
        self._say, self._source = say, source
        self._reader = LineReader()
        self._heard_at = time.monotonic()
        self._ended = threading.Event()
        source.subscribe()
        self._thread = threading.Thread(target=self._run, name="worker-logs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the last lines: wait until none has come for half a second."""
        until = time.monotonic() + LAST_S
        self._heard_at = time.monotonic()
        while time.monotonic() < min(until, self._heard_at + QUIET_S) and self._thread.is_alive():
            time.sleep(0.05)
        self._ended.set()
        self._thread.join(2 * POLL_S)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                batch = self._source.poll(timeout=POLL_S)
            except Exception:  # the connection has ended: there are no more lines
                return
            if not batch or not batch["lines"] or not batch["is_err"]:
                continue
            for line in batch["lines"]:
                if found := of_controller(line):
                    logger.log(found[0], "%s", found[1])
            for line in self._reader.read(batch["ip"], batch["pid"], batch["lines"]):
                self._heard_at = time.monotonic()
                self._say(line)


@contextmanager
def ray_messages_logged() -> Iterator[None]:
    """Log the messages of Ray's own processes, which Ray would print to stdout as paragraphs.

    The death of a worker process is for --verbose: Serve's line names the replica.
    """
    worker: Any = importlib.import_module("ray._private.worker")
    shown = worker.print_to_stdstream
    worker.print_to_stdstream = _log_message
    try:
        yield
    finally:
        worker.print_to_stdstream = shown


def _log_message(data: dict[str, Any], ignore_prefix: bool) -> None:
    for message in data["lines"]:
        text = " ".join(message.split())
        logger.log(logging.DEBUG if text.startswith(WORKER_DIED) else logging.WARNING, "Ray: %s", text)


def source_of(local: bool) -> Any:
    """Source of the log lines of the connected Ray. `local`: the Ray is this command's own, on this machine."""
    worker: Any = importlib.import_module("ray._private.worker")
    if local:
        return LogFiles(Path(worker._global_node.get_logs_dir_path()))
    return worker.global_worker.gcs_log_subscriber  # Ray does not read it while `log_to_driver` is off
