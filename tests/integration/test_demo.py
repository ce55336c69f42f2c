"""The demo with everything real: it counts every message, and leaves nothing behind, however it ends."""

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


def test_ctrl_c_in_mid_stream_finishes_and_sums_up(start: Callable[..., RunningCommand], kafka: Broker) -> None:
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
    assert re.search(r"% right on \d+ public review sentences held back", demo.output)
    assert "pid=" not in demo.output, "quiet: nothing of Ray's own output"
    assert demo.folders
    with kafka.admin() as admin:
        assert [topic for topic in admin.list_topics() if topic.startswith("labelstream-demo")] == []
        groups = [group["group_id"] for group in admin.list_groups()]
    assert [group for group in groups if group.startswith("labelstream-demo")] == []
    demo.assert_nothing_is_left()


def test_terminated_while_starting(start: Callable[..., RunningCommand]) -> None:
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


def test_killed_it_takes_everything_with_it(start: Callable[..., RunningCommand]) -> None:
    demo = start()
    demo.until("loading the model")
    demo.process.kill()
    assert demo.process.wait(10) == -signal.SIGKILL
    demo.assert_nothing_is_left()
