"""Partitions without progress and peers without an answer, on a clock that the test turns."""

from types import SimpleNamespace
from typing import Any

from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.supervision.stall_detector import StallDetector, Standing, Watch
from tests.support.clock import Clock


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
            assignment=SimpleNamespace(assigned=lambda: [progress]),
            lag=SimpleNamespace(behind=lambda progress: 4),
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
