"""The demo with real components: it counts every message and leaves nothing behind, however it ends."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.kafka import Broker
from tests.support.running_command import RunningCommand

pytestmark = pytest.mark.ray


@pytest.fixture
def start() -> Iterator[Callable[..., RunningCommand]]:
    started: list[RunningCommand] = []

    def call(*arguments: str) -> RunningCommand:
        started.append(RunningCommand("demo", *arguments))
        return started[-1]

    yield call
    for demo in started:
        demo.process.terminate()
        demo.wait()


def test_demo_on_ctrl_c_finishes_and_reports(start: Callable[..., RunningCommand], kafka: Broker) -> None:
    """On a real broker; the demo deletes its topics and groups."""
    demo = start("--bootstrap", kafka.bootstrap)
    demo.until("messages came back")
    assert len(demo.processes()) > 4, "Ray's processes must be visible here"
    demo.process.send_signal(signal.SIGINT)
    assert demo.wait() == 0, demo.output
    [messages] = re.findall(r"all (\d+) messages are accounted for", demo.output)
    [results] = re.findall(r"results +(\d+)\n", demo.output)
    [broken] = re.findall(r"dead letters +(\d+)", demo.output.rpartition("results")[2])
    assert int(results) + int(broken) == int(messages)
    assert re.search(r"duplicates +0\n", demo.output)
    assert re.search(r"% right on \d+ public\s+review sentences held back", demo.output)
    assert "pid=" not in demo.output, "Ray's own output must be hidden"
    assert demo.folders
    with kafka.admin() as admin:
        assert [topic for topic in admin.list_topics() if topic.startswith("labelstream-demo")] == []
        groups = [group["group_id"] for group in admin.list_groups()]
    assert [group for group in groups if group.startswith("labelstream-demo")] == []
    demo.assert_nothing_is_left()


def test_demo_terminated_while_starting_leaves_nothing(start: Callable[..., RunningCommand]) -> None:
    """SIGTERM twice to the whole process group, as terminals and GNU timeout send it."""
    demo = start("--messages", "60")
    demo.until("starting Ray")
    os.killpg(demo.process.pid, signal.SIGTERM)
    time.sleep(0.3)
    if demo.process.poll() is None:
        os.killpg(demo.process.pid, signal.SIGTERM)
    assert demo.wait() == 130, demo.output
    assert "Traceback" not in demo.output
    demo.assert_nothing_is_left()


def test_killed_demo_leaves_no_process(start: Callable[..., RunningCommand]) -> None:
    demo = start()
    demo.until("starting the model")
    demo.process.kill()
    assert demo.process.wait(10) == -signal.SIGKILL
    demo.assert_nothing_is_left()
