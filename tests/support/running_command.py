"""A command that starts Ray, with all its processes."""

import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.command import LABELSTREAM, ROOT

LEAVE_S = 40.0


class RunningCommand:
    """A command that starts Ray. A variable in the environment of all its processes identifies them."""

    def __init__(
        self, *arguments: str, environment: Mapping[str, str] | None = None, command: Sequence[str] = LABELSTREAM
    ) -> None:
        self.lines: list[str] = []
        self.folders: set[str] = set()
        self._mark = f"LABELSTREAM_TEST_MARK={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        self.process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {}), name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def until(self, part: str, timeout_s: float = 180.0) -> None:
        """Wait for `part` in its output."""
        deadline = time.monotonic() + timeout_s
        while part not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)
        self.processes()

    def wait(self, timeout_s: float = 180.0) -> int:
        """Its exit code, with its whole output read."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self.processes()  # notes the folder while some process has it
            time.sleep(0.2)
        code = self.process.wait(1)
        self._reader.join(LEAVE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def processes(self) -> dict[int, str]:
        """Command lines of all its processes, by id; notes the folder that Ray was given."""
        found: dict[int, str] = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                environment = (path / "environ").read_bytes()
                if self._mark.encode() in environment and "\nState:\tZ" not in (path / "status").read_text():
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    self.folders |= {entry.decode() for entry in re.findall(rb"RAY_TMPDIR=([^\0]+)", environment)}
            except OSError:
                continue  # it ended meanwhile
        return found

    def assert_nothing_is_left(self) -> None:
        deadline = time.monotonic() + LEAVE_S
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert self.processes() == {}
        assert [folder for folder in self.folders if Path(folder).exists()] == []

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
