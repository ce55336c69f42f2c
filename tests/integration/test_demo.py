"""The demo with everything real: it counts every message, and leaves nothing behind, however it ends."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kafka import Broker

ROOT = Path(__file__).parents[2]
LEAVE_S = 40.0
pytestmark = pytest.mark.ray


class Demo:
    """A running demo, known again by a variable in the environment of all its processes."""

    def __init__(self, *arguments: str) -> None:
        self.lines: list[str] = []
        self.folders: set[str] = set()
        self._mark = f"DEMO_MARK={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labelstream.deploy.cli", "demo", *arguments],
            cwd=ROOT,
            env={**os.environ, name: value},
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
            self.processes()  # for the folder, as long as somebody has it
            time.sleep(0.2)
        code = self.process.wait(1)
        self._reader.join(LEAVE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def processes(self) -> list[str]:
        """Command lines of all its processes; notes the folder that Ray was given."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                environment = (path / "environ").read_bytes()
                if self._mark.encode() in environment and "\nState:\tZ" not in (path / "status").read_text():
                    found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
                    self.folders |= {entry.decode() for entry in re.findall(rb"RAY_TMPDIR=([^\0]+)", environment)}
            except OSError:
                continue  # it ended meanwhile
        return found

    def assert_nothing_is_left(self) -> None:
        deadline = time.monotonic() + LEAVE_S
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert self.processes() == []
        assert [folder for folder in self.folders if Path(folder).exists()] == []

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


@pytest.fixture
def start() -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def call(*arguments: str) -> Demo:
        started.append(Demo(*arguments))
        return started[-1]

    yield call
    for demo in started:
        demo.process.terminate()
        demo.wait()


def test_ctrl_c_in_mid_stream_finishes_and_sums_up(start: Callable[..., Demo], kafka: Broker) -> None:
    """On a real broker, from which the demo's topics and groups are deleted."""
    demo = start("--bootstrap", kafka.bootstrap)
    demo.until("messages came back")
    assert len(demo.processes()) > 4, "so they are seen here when they are there"
    demo.process.send_signal(signal.SIGINT)
    assert demo.wait() == 0, demo.output
    [messages] = re.findall(r"every one of (\d+) messages is accounted for", demo.output)
    [results] = re.findall(r"results +(\d+)\n", demo.output)
    [broken] = re.findall(r"dead letters +(\d+)", demo.output.rpartition("results")[2])
    assert int(results) + int(broken) == int(messages)
    assert re.search(r"duplicates +0\n", demo.output)
    assert re.search(r"% right on \d+ hand-written sentences", demo.output)
    assert "pid=" not in demo.output, "quiet: nothing of Ray's own output"
    assert demo.folders
    with kafka.admin() as admin:
        assert [topic for topic in admin.list_topics() if topic.startswith("labelstream-demo")] == []
        groups = [group["group_id"] for group in admin.list_groups()]
    assert [group for group in groups if group.startswith("labelstream-demo")] == []
    demo.assert_nothing_is_left()


def test_terminated_while_starting(start: Callable[..., Demo]) -> None:
    """Twice, and to the whole process group, as a terminal does it and GNU timeout."""
    demo = start("--messages", "60")
    demo.until("starting Ray")
    os.killpg(demo.process.pid, signal.SIGTERM)
    time.sleep(0.3)
    if demo.process.poll() is None:
        os.killpg(demo.process.pid, signal.SIGTERM)
    assert demo.wait() == 130, demo.output
    assert "Traceback" not in demo.output
    demo.assert_nothing_is_left()


def test_killed_it_takes_everything_with_it(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.until("loading the model")
    demo.process.kill()
    assert demo.process.wait(10) == -signal.SIGKILL
    demo.assert_nothing_is_left()
