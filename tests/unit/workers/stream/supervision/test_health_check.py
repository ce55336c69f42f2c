"""When a worker is to be replaced, on a clock that the test turns."""

import pytest

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.stats import Stats
from labelstream.workers.stream.supervision import restart_backoff
from labelstream.workers.stream.supervision.alarms import Alarms
from labelstream.workers.stream.supervision.health_check import HealthCheck
from labelstream.workers.stream.supervision.restart_backoff import RestartBackoff
from labelstream.workers.stream.supervision.stall_detector import StallDetector
from tests.support.clock import Clock

SILENT = ["the worker's loop has been blocked for more than 10 s"]


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.alarms, self.restarts = Alarms("p", Stats()), RestartBackoff(self.clock)
        self.health = HealthCheck("p", StallDetector(10, 300), self.alarms, self.restarts, self.clock)

    def check(self, alive: bool = True, stopping: bool = False, oldest_s: float = 0.0) -> list[str]:
        """The alarms, where the check does not fail."""
        self.health.check(alive, stopping, oldest_s)
        return self.alarms.texts()


def test_healthy_worker_passes() -> None:
    assert Bench().check() == []


def test_failure_is_told_with_its_cause() -> None:
    bench = Bench()
    bench.health.failure = ValueError("a bug")
    with pytest.raises(StreamError, match="pipeline p stopped: a bug") as raised:
        bench.check(alive=False)
    assert raised.value.__cause__ is bench.health.failure


def test_dead_thread_fails() -> None:
    with pytest.raises(StreamError, match="pipeline p is not running"):
        Bench().check(alive=False)


def test_too_many_restarts_fail() -> None:
    bench = Bench()
    bench.health.trouble = StreamError("no broker")
    for _ in range(restart_backoff.MAX_IN_ROW):
        bench.restarts.ended(0)
    assert bench.check() == []
    bench.restarts.ended(0)
    with pytest.raises(StreamError, match=r"pipeline p restarted 21 times in a row: no broker"):
        bench.check()


def test_slow_loop_is_an_alarm_before_it_fails() -> None:
    bench = Bench()
    bench.clock.now += 9.9
    assert bench.check() == []
    bench.clock.now += 50
    assert bench.check() == SILENT
    bench.clock.now += 0.1
    with pytest.raises(StreamError, match="pipeline p: the worker's loop has been blocked for 60 s"):
        bench.check()
    bench.health.looped()
    assert bench.check() == []
    assert bench.health.loop_idle_s() == 0


def test_loop_between_two_runs_may_be_slow() -> None:
    bench = Bench()
    bench.health.trouble = StreamError("no broker")
    bench.clock.now += 100
    assert bench.check() == []
    bench.health.loop_began()
    bench.health.trouble = None
    assert bench.check() == []
    assert not bench.health.stalled


def test_loop_at_its_end_is_no_alarm_but_may_fail() -> None:
    bench = Bench()
    bench.clock.now += 11
    assert bench.check(stopping=True) == []
    bench.clock.now += 50
    with pytest.raises(StreamError, match="the worker's loop has been blocked for 61 s"):
        bench.check(stopping=True)


@pytest.mark.parametrize(("turn_s", "stalled"), [(59, False), (60, True)])
def test_loop_that_ever_stalled_is_remembered(turn_s: float, stalled: bool) -> None:
    bench = Bench()
    bench.clock.now += turn_s
    bench.health.looped()
    bench.health.looped()
    assert bench.health.stalled is stalled


def test_old_call_fails() -> None:
    bench = Bench()
    assert bench.check(oldest_s=299) == []
    with pytest.raises(StreamError, match=r"messages have been in flight for 301 s \(stall_timeout_s is 300\)"):
        bench.check(oldest_s=301)
