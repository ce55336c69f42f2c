"""A worker's restarts, health, drain and report; its runs are fakes, and time passes when a test says so."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.workers.errors import Fenced, OffsetOutOfRange, StartError, StreamError
from labelstream.workers.settings.http import HttpSettings
from labelstream.workers.stream.run_factory import Run
from labelstream.workers.stream.supervision import restart_backoff
from labelstream.workers.stream.supervision.commands import STOPPED, CommandAnswer
from labelstream.workers.stream.worker import PipelineWorker
from tests.support.clock import Clock
from tests.support.streams import Topics, settings_for, wait_until


class FakePipeline:
    """Stands in for Pipeline. `on_turn` is called in each turn of the loop, in its thread, with `accept`."""

    def __init__(self) -> None:
        self.on_turn: Callable[[bool], None] = lambda accept: None
        self.draining_turns = 0
        self.in_flight = 0
        self.flushes = [True]
        self.targets: list[int] = []
        self.oldest_s, self.paused = 0.0, False
        self.monitor = SimpleNamespace(
            oldest_s=lambda: self.oldest_s,
            paused=lambda: self.paused,
            in_flight=lambda: Counter({"in:0": self.in_flight}),
        )

    def run_once(self, accept: bool) -> None:
        self.draining_turns += not accept
        self.on_turn(accept)

    def finished(self) -> bool:
        return self.in_flight == 0

    drained = finished

    def flush(self) -> bool:
        return self.flushes.pop(0)

    def resume(self) -> int:
        return 7

    def set_target_in_flight(self, calls: int) -> None:
        self.targets.append(calls)


class FakeRuns:
    """Stands in for RunFactory. `errors`: what the first runs end with, before they have partitions."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.runs = self.cleared = self.taken_back = 0
        self.pipeline = FakePipeline()
        self.alarms: dict[str, str] | None = None
        self.source = SimpleNamespace(
            lag=SimpleNamespace(by_partition=lambda: {"in:0": (3, 10), "in:1": (4, 10)}),
            is_member=lambda: True,
            partition_hold=SimpleNamespace(take_back=self.take_back),
        )

    def take_back(self) -> None:
        self.taken_back += 1

    def end_hanging_transactions(self, stopped: threading.Event) -> None: ...

    def clear_transaction(self) -> None:
        self.cleared += 1

    @contextmanager
    def run(self) -> Iterator[Run]:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        rules: Any = SimpleNamespace(evaluate=lambda: self.alarms)
        yield Run(self.pipeline, self.source, rules)  # type: ignore[arg-type]


class Bench:
    """One worker and its fakes."""

    def __init__(self, *errors: BaseException) -> None:
        self.runs, self.clock = FakeRuns(*errors), Clock()
        settings = settings_for("x:1", Topics("in", "out", "dlq"), drain_timeout_s=5, rebalance_drain_s=1)
        runs: Any = self.runs
        self.worker = PipelineWorker("p", settings, {}, "w", lambda *_: runs, self.clock)

    def start(self, state: str = "running") -> PipelineWorker:
        self.worker.start()
        wait_until(lambda: self.worker.stats()["state"] == state, 10, state)
        return self.worker


@pytest.fixture
def start() -> Iterator[Callable[..., Bench]]:
    """start(errors .., state="running") is a worker in that state."""
    made: list[Bench] = []

    def start(*errors: BaseException, state: str = "running") -> Bench:
        made.append(Bench(*errors))
        made[-1].start(state)
        return made[-1]

    yield start
    for bench in made:
        bench.runs.pipeline.in_flight = 0
        bench.runs.pipeline.on_turn = lambda accept: None
        bench.runs.pipeline.flushes = [True]
        bench.worker.stop()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts do not wait."""
    monkeypatch.setattr(restart_backoff, "FIRST_S", 0.0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("http", "kept"), [(None, None), ({}, None), ({"page": True}, [])], ids=str)
def test_worker_keeps_samples_only_for_a_page(http: dict[str, Any] | None, kept: list[Any] | None) -> None:
    settings = settings_for("127.0.0.1:1", Topics("in", "out", "dlq"))
    settings = settings.model_copy(update={"http": None if http is None else HttpSettings(**http)})
    assert PipelineWorker("p", settings, {}, "w").stats().get("recent") == kept


def test_retriable_errors_start_another_run(start: Callable[..., Bench]) -> None:
    bench = start(StreamError("first"), StreamError("second"))
    assert bench.runs.runs == 3
    stats = bench.worker.stats()
    assert (stats["restarts"], stats["trouble"]) == (2, None)
    bench.worker.check()
    assert bench.worker.stop()


@pytest.mark.usefixtures("at_once")
def test_error_in_a_turn_starts_another_run(start: Callable[..., Bench]) -> None:
    bench = start()

    def fail(accept: bool) -> None:
        bench.runs.pipeline.on_turn = lambda accept: None
        raise StreamError("a result was not acknowledged")

    bench.runs.pipeline.on_turn = fail
    wait_until(lambda: bench.runs.runs == 2 and bench.worker.stats()["state"] == "running", 10)
    assert bench.worker.stats()["restarts"] == 1


def test_trouble_is_told_and_stop_does_not_wait_for_the_pause(start: Callable[..., Bench]) -> None:
    bench = start(StreamError("no broker"), state="restarting")
    assert bench.worker.stats()["trouble"] == "no broker"
    bench.clock.now += 100
    bench.worker.check()  # its loop does not turn, and need not
    assert not bench.worker.stop()
    assert bench.runs.runs == 1


@pytest.mark.usefixtures("at_once")
def test_too_many_restarts_fail_the_check(start: Callable[..., Bench]) -> None:
    errors = [StreamError("no broker") for _ in range(restart_backoff.MAX_IN_ROW + 1)]
    bench = Bench(*errors)
    bench.runs.source.is_member = lambda: False  # it never joins either
    bench.worker.start()
    wait_until(lambda: not bench.runs.errors and bench.worker.stats()["restarts"] == len(errors), 10)
    with pytest.raises(StreamError, match="restarted 21 times in a row: no broker"):
        bench.worker.check()
    assert bench.worker.stop()


@pytest.mark.parametrize(
    ("error", "cleared"), [(OffsetOutOfRange("gone"), 0), (Fenced("ended"), 1), (ZeroDivisionError("a bug"), 0)]
)
def test_fatal_error_ends_the_worker(
    start: Callable[..., Bench], caplog: pytest.LogCaptureFixture, error: Exception, cleared: int
) -> None:
    bench = start(error, state="failed")
    with pytest.raises(StreamError, match=f"pipeline p stopped: {error}") as raised:
        bench.worker.check()
    assert raised.value.__cause__ is error
    assert bench.worker.stats()["trouble"] == str(error)
    assert not bench.worker.stop()
    assert (bench.runs.runs, bench.runs.cleared) == (1, cleared)
    assert bench.worker.command({"name": "resume"}, 30).result(0) == STOPPED
    (critical,) = (record for record in caplog.records if record.levelno == logging.CRITICAL)
    assert bool(critical.exc_info) is isinstance(error, ZeroDivisionError)


def test_worker_that_cannot_start_says_so() -> None:
    def refuse(*_: object) -> Any:
        raise StartError("kafka: no broker")

    settings = settings_for("x:1", Topics("in", "out", "dlq"))
    worker = PipelineWorker("p", settings, {}, "w", refuse)
    with pytest.raises(StartError, match="no broker"):
        worker.start()
    with pytest.raises(StreamError, match="is not running"):
        worker.check()
    assert not worker.stop()


def test_check_fails_with_loop_and_with_old_calls(start: Callable[..., Bench]) -> None:
    bench = start()
    bench.runs.pipeline.oldest_s = 1_000.0
    with pytest.raises(StreamError, match="messages have been in flight for 1000 s"):
        bench.worker.check()
    bench.runs.pipeline.oldest_s = 0.0
    gate, stuck = threading.Event(), threading.Event()

    def hang(accept: bool) -> None:
        stuck.set()
        gate.wait(10)

    bench.runs.pipeline.on_turn = hang
    assert stuck.wait(10)
    bench.clock.now += 11
    bench.worker.check()
    assert bench.worker.stats()["alarms"] == ["the worker's loop has been blocked for more than 10 s"]
    bench.clock.now += 50
    with pytest.raises(StreamError, match="the worker's loop has been blocked for 61 s"):
        bench.worker.check()
    gate.set()


def test_stop_drains_what_is_in_flight(start: Callable[..., Bench]) -> None:
    bench = start()
    pipeline = bench.runs.pipeline
    pipeline.in_flight, pipeline.flushes = 3, [False, False, True]

    def answer(accept: bool) -> None:
        pipeline.in_flight -= not accept and pipeline.in_flight > 0

    pipeline.on_turn = answer
    assert bench.worker.stop()
    assert bench.worker.stats()["state"] == "drained"
    assert pipeline.draining_turns == 3 + 2
    assert bench.runs.taken_back == 1


def test_drain_ends_in_time(start: Callable[..., Bench]) -> None:
    bench = start()
    pipeline = bench.runs.pipeline
    pipeline.in_flight = 3
    pipeline.on_turn = lambda accept: setattr(bench.clock, "now", bench.clock.now + (not accept))
    assert not bench.worker.stop(7)
    assert bench.worker.stats()["state"] == "stopped with messages in flight"
    assert pipeline.draining_turns == 7
    assert bench.runs.taken_back == 1


def test_commit_that_does_not_end_is_not_drained(start: Callable[..., Bench]) -> None:
    bench = start()
    pipeline = bench.runs.pipeline
    pipeline.flushes = [False] * 10
    pipeline.on_turn = lambda accept: setattr(bench.clock, "now", bench.clock.now + (not accept))
    assert not bench.worker.stop(2)
    assert pipeline.draining_turns == 3


def test_suspicion_stays_after_a_stall(start: Callable[..., Bench]) -> None:
    """What is in flight may be to blame: the next worker shall take it for suspect."""
    bench = start()
    pipeline = bench.runs.pipeline
    pipeline.in_flight = 1
    pipeline.on_turn = lambda accept: setattr(bench.clock, "now", bench.clock.now + 61 * (not accept))
    assert not bench.worker.stop()
    assert bench.runs.taken_back == 0


def test_target_in_flight_reaches_this_run_and_the_next(start: Callable[..., Bench]) -> None:
    bench = Bench()
    bench.worker.set_target_in_flight(9)
    bench.start()
    bench.worker.set_target_in_flight(12)
    assert bench.runs.pipeline.targets == [9, 12]
    assert bench.worker.stop()
    bench.worker.set_target_in_flight(1)  # nobody is there to hear of it
    assert bench.runs.pipeline.targets == [9, 12]


def test_command_is_obeyed_between_two_turns(start: Callable[..., Bench]) -> None:
    answer = start().worker.command({"name": "resume"}, 30)
    assert answer.result(10) == CommandAnswer("done", "resumed; 7 held messages are produced")


def test_report_is_of_the_run(start: Callable[..., Bench]) -> None:
    bench = start()
    bench.runs.pipeline.in_flight, bench.runs.pipeline.paused = 5, True
    bench.runs.alarms = {"breaker": "paused"}
    wait_until(lambda: bool(bench.worker.stats()["alarms"]), 10)
    stats = bench.worker.stats()
    assert stats["alarms"] == ["paused"]
    assert (stats["worker"], stats["state"]) == ("w", "paused")
    assert (stats["lag"], stats["partitions"]) == (7, {"in:0": (3, 10), "in:1": (4, 10)})
    assert (stats["in_flight"], stats["in_flight_by_partition"]) == (5, {"in:0": 5})
    assert stats["cpu_s"] > 0
