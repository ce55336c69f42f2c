"""The parts that watch a stream, on clocks that the test turns."""

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused, StreamError
from labelstream.workers.settings import BreakerSettings
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.flow_control.failure_window import FailureRateWindow
from labelstream.workers.stream.stats import Stats
from labelstream.workers.stream.supervision.alerts import Alarms
from labelstream.workers.stream.supervision.commands import STOPPED, TOO_LATE, CommandAnswer, Commands
from labelstream.workers.stream.supervision.stall_detector import StallDetector, Standing, Watch
from tests.support.clock import Clock


class TestBreaker:
    def test_it_needs_a_sample_and_a_share(self) -> None:
        breaker = FailureRateWindow(BreakerSettings(min_messages=100), Clock())
        assert breaker.admits(99, 99)
        assert not breaker.admits(1, 1)
        assert breaker.tripped
        breaker = FailureRateWindow(BreakerSettings(min_messages=100), Clock())
        assert breaker.admits(60, 0)
        assert breaker.admits(60, 60)
        assert not breaker.admits(10, 10)

    def test_what_is_old_does_not_count(self) -> None:
        clock = Clock()
        breaker = FailureRateWindow(BreakerSettings(min_messages=100, window_s=60), clock)
        assert breaker.admits(99, 99)
        clock.now += 61
        assert breaker.admits(99, 99)

    def test_good_ones_pass_whatever_went_before(self) -> None:
        clock = Clock()
        breaker = FailureRateWindow(BreakerSettings(min_messages=10), clock)
        assert breaker.admits(100, 0)
        clock.now += 30
        assert breaker.admits(90, 90)
        clock.now += 31  # the good ones are forgotten, the bad ones are not
        assert breaker.admits(5, 0)
        assert not breaker.admits(5, 5)

    def test_a_reset_lasts_for_a_sample(self) -> None:
        breaker = FailureRateWindow(BreakerSettings(min_messages=10), Clock())
        assert not breaker.admits(10, 10)
        breaker.reset(grace=10)
        assert breaker.admits(9, 9)
        assert breaker.admits(9, 9)
        assert not breaker.admits(1, 1)

    def test_once_tripped_no_sample_is_needed_until_something_passes(self) -> None:
        breaker = FailureRateWindow(BreakerSettings(min_messages=10), Clock())
        assert not breaker.admits(10, 10)
        assert not breaker.admits(1, 1)
        assert breaker.admits(1, 0)
        assert breaker.admits(1, 1)

    def test_it_can_be_turned_off(self) -> None:
        assert FailureRateWindow(BreakerSettings(max_share=1, min_messages=1), Clock()).admits(1_000, 1_000)
        assert not FailureRateWindow(BreakerSettings(max_share=0, min_messages=1), Clock()).admits(1_000, 1)


class TestStalls:
    def test_only_who_has_something_to_do_stalls(self) -> None:
        clock = Clock()
        watch = StallDetector(300, clock)

        def look(*standings: Standing) -> list[str]:
            return watch.stalled(standings)

        idle, stuck = Standing("t:0", 5, behind=False), Standing("t:1", 5, behind=True)
        assert look(idle, stuck) == []
        clock.now += 299
        assert look(idle, stuck) == []
        clock.now += 1
        assert look(idle, stuck) == ["t:1"]
        assert look(idle, stuck._replace(done=6)) == []
        clock.now += 300
        assert look(Standing("t:0", 5, behind=True)) == []  # it was idle until now
        assert look(stuck) == []  # and this one was away

    def test_what_moves_does_not_stall(self) -> None:
        clock = Clock()
        watch = StallDetector(10, clock)
        for done in range(100):
            clock.now += 9
            assert watch.stalled([Standing("t:0", done, behind=True)]) == []


class TestWatch:
    @staticmethod
    def look(clock: Clock, wait_s: float = 1, **pipeline: Any) -> dict[str, str] | None:
        progress = PartitionProgress(TopicPartition("t", 0), received=9, done=5)
        gate = SimpleNamespace(held=None, alarm="paused: all of them")
        vars(gate).update(pipeline.pop("gate", {}))
        source: Any = SimpleNamespace(
            assignment=SimpleNamespace(held=lambda: [progress]),
            behind=lambda progress: 4,
            halted=lambda: pipeline.pop("halted", {}),
        )
        troubles = pipeline.get("troubles", {})
        run: Any = SimpleNamespace(
            breaker=gate,
            awaited=lambda: pipeline.get("awaited", {}),
            troubles=lambda: troubles,
            obstacles=lambda: pipeline.get("obstacles", {}),
            paused=lambda: bool(troubles) or gate.held is not None,
        )
        dead_share: Any = SimpleNamespace(alarm=lambda: pipeline.get("dead", ""))
        watch = Watch("p", run, source, dead_share, 300, clock)
        assert watch.look() is not None
        assert watch.look() is None
        clock.now += wait_s
        return watch.look()

    def test_who_is_silent_is_named_after_ten_seconds(self) -> None:
        assert self.look(Clock(), awaited={"topic out": 9.0, "model m": 9.0}) == {}
        found = self.look(Clock(), awaited={"topic out": 11.0, "model m": 12.0})
        assert found == {
            "topic out": "topic out does not acknowledge for more than 10 s; the stream waits for it",
            "model m": "model m gives no answer for more than 10 s; the stream waits for it",
        }

    def test_too_many_dead_letters_are_told_with_where_to_look(self) -> None:
        found = self.look(Clock(), dead="9 of the last 10 messages ..")
        assert found == {"dead letters": "9 of the last 10 messages ..; `labelstream dlq list p` shows them"}

    def test_what_keeps_the_output_from_taking_all_is_told(self) -> None:
        assert self.look(Clock(), obstacles={"throttle": "a quota"}) == {"throttle": "a quota"}

    def test_a_stall_is_no_stall_while_the_breaker_holds(self) -> None:
        assert self.look(Clock(), wait_s=301) == {"stall t:0": "t:0 has made no progress for more than 300 s"}
        found = self.look(Clock(), wait_s=301, gate={"held": object()})
        assert found == {"breaker": "paused: all of them; `labelstream resume p` lets them pass"}

    def test_a_pause_of_a_model_says_how_it_ends(self) -> None:
        found = self.look(Clock(), wait_s=301, troubles={"m": "paused: replicas die; it goes on later"})
        assert found == {"pause m": "paused: replicas die; it goes on later, or on `labelstream resume p`"}


def test_alarms_are_said_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats()
    alarms = Alarms("p", stats)
    with caplog.at_level(logging.WARNING, "labelstream.workers.stream.supervision.alerts"):
        for seconds in range(3):
            alarms.update("watch", {"a": f"silent for {seconds} s"})
        alarms.update("check", {"b": "stuck"})
        assert alarms.texts() == ["silent for 0 s", "stuck"]
        alarms.update("watch", {})
        assert alarms.texts() == ["stuck"]
    assert [record.getMessage() for record in caplog.records] == [
        "pipeline p: alarm: silent for 0 s",
        "pipeline p: alarm: stuck",
        "pipeline p: alarm is over: silent for 0 s",
    ]
    assert stats.snapshot()["alarms_raised"] == 2


class TestCommands:
    COMMAND = {"name": "resume"}  # noqa: RUF012

    @staticmethod
    def saying(answer: str | None) -> Callable[[object], str | None]:
        return lambda command: answer

    def test_they_are_tried_until_they_can_be_obeyed(self) -> None:
        commands = Commands(Clock())
        answer = commands.take(self.COMMAND, 30)
        commands.obey(self.saying(None))
        assert not answer.done()
        commands.obey(self.saying("gone on"))
        assert answer.result(0) == CommandAnswer("done", "gone on")
        commands.obey(self.saying("again?"))

    def test_one_that_is_too_late_is_not_obeyed(self) -> None:
        clock = Clock()
        commands = Commands(clock)
        answer = commands.take(self.COMMAND, 30)
        clock.now += 30
        commands.obey(self.saying("after all"))
        assert answer.result(0) == TOO_LATE

    def test_who_refuses_says_whether_it_is_his(self) -> None:
        for ours, status in ((True, "refused"), (False, "absent")):
            commands = Commands(Clock())
            answer = commands.take(self.COMMAND, 30)

            def refuse(command: object, ours: bool = ours) -> str | None:
                raise CommandRefused("no", ours)

            commands.obey(refuse)
            assert answer.result(0) == CommandAnswer(status, "no")  # type: ignore[arg-type]

    def test_the_end_answers_all(self) -> None:
        commands = Commands(Clock())
        before = commands.take(self.COMMAND, 30)

        def fail(command: object) -> str | None:
            raise StreamError("no broker")

        with pytest.raises(StreamError):
            commands.obey(fail)
        assert not before.done()
        commands.close()
        assert before.result(0) == commands.take(self.COMMAND, 30).result(0) == STOPPED
