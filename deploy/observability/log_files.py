"""Reads new lines from the log files of a Ray on this machine.

Ray has a process for this job, which takes memory and CPU and loses what it has not read at the end.
"""

import time
from collections import deque
from pathlib import Path
from typing import Any

LOOK_S = 0.2
MAX_READ_BYTES = 1 << 20


class LogFiles:
    """Has the interface of Ray's subscription to log lines. `folder`: the logs of the session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}  # bytes read so far, whole lines only
        self._batches: deque[dict[str, Any]] = deque()

    def subscribe(self) -> None: ...

    def poll(self, timeout: float) -> dict[str, Any] | None:
        """The next whole lines of one process; None if none arrive within `timeout` seconds."""
        until = time.monotonic() + timeout
        while not self._batches:
            self._look()
            if not self._batches and time.monotonic() >= until:
                return None
            if not self._batches:
                time.sleep(LOOK_S)
        return self._batches.popleft()

    def _look(self) -> None:
        for path in sorted(self._folder.glob("worker-*.err")):
            if lines := self._new_lines(path):
                self._batches.append({"ip": "", "pid": path.name, "is_err": True, "lines": lines})

    def _new_lines(self, path: Path) -> list[str]:
        read = self._read.get(path, 0)
        try:
            if path.stat().st_size <= read:
                return []
            with path.open("rb") as file:
                file.seek(read)
                found = file.read(MAX_READ_BYTES)
        except OSError:  # Ray has rotated the file
            return []
        end = found.rfind(b"\n") + 1
        if not end and len(found) == MAX_READ_BYTES:  # longer than any line of Labelstream
            end = len(found)
        self._read[path] = read + end
        return found[:end].decode("utf-8", "replace").split("\n")[:-1] if end else []
