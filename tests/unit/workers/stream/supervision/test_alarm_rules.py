"""A pipeline's alarms, on a clock that the test turns."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.consumer.fetching import CorruptBatch
from labelstream.workers.stream.supervision.alarm_rules import AlarmRules
from labelstream.workers.stream.supervision.stall_detector import StallDetector
from tests.support.clock import Clock


def look(clock: Clock, wait_s: float = 1, **pipeline: Any) -> dict[str, str] | None:
    progress = PartitionProgress(TopicPartition("t", 0), received=9, done=5)
    breaker = SimpleNamespace(is_open=False, alarm="paused: all of them")
    vars(breaker).update(pipeline.pop("breaker", {}))
    source: Any = SimpleNamespace(
        assignment=SimpleNamespace(assigned=lambda: [progress]),
        lag=SimpleNamespace(behind=lambda progress: 4),
        halted=lambda: pipeline.get("halted", {}),
        subscription=SimpleNamespace(alarms=lambda: pipeline.get("missing", {})),
    )
    troubles = pipeline.get("troubles", {})
    monitor: Any = SimpleNamespace(
        breaker=breaker,
        awaited=lambda: pipeline.get("awaited", {}),
        troubles=lambda: troubles,
        obstacles=lambda: pipeline.get("obstacles", {}),
        paused=lambda: bool(troubles) or breaker.is_open,
    )
    dead_share: Any = SimpleNamespace(alarm=lambda: pipeline.get("dead", ""))
    rules = AlarmRules("p", monitor, source, dead_share, StallDetector(10), StallDetector(300, clock=clock), clock)
    assert rules.evaluate() is not None
    assert rules.evaluate() is None
    clock.now += wait_s
    return rules.evaluate()


def test_who_is_silent_is_named_after_ten_seconds() -> None:
    assert look(Clock(), awaited={"topic out": 9.0, "model m": 9.0}) == {}
    found = look(Clock(), awaited={"topic out": 11.0, "model m": 12.0})
    assert found == {
        "topic out": "topic out has not acknowledged for more than 10 s; the pipeline waits",
        "model m": "model m has not answered for more than 10 s; the pipeline waits",
    }


def test_too_many_dead_letters_are_told_with_where_to_look() -> None:
    found = look(Clock(), dead="9 of the last 10 messages ..")
    assert found == {"dead letters": "9 of the last 10 messages ..; see `labelstream dlq list -c FILE p`"}


def test_what_keeps_the_output_from_taking_all_is_told() -> None:
    assert look(Clock(), obstacles={"throttle": "a quota"}) == {"throttle": "a quota"}


def test_a_stall_is_no_stall_while_the_breaker_holds() -> None:
    assert look(Clock(), wait_s=301) == {"stall t:0": "t:0 has made no progress for more than 300 s"}
    found = look(Clock(), wait_s=301, breaker={"is_open": True})
    assert found == {"breaker": "paused: all of them; repair the model, or run `labelstream resume p`"}


def test_a_pause_of_a_model_says_how_it_ends() -> None:
    found = look(Clock(), wait_s=301, troubles={"m": "paused: replicas die; it goes on later"})
    assert found == {"pause m": "paused: replicas die; it goes on later, or on `labelstream resume p`"}


@pytest.mark.parametrize(
    ("end", "where", "behind"), [(9, "offsets 7 to 8", "t:0:9"), (None, "from offset 7 on", "t:0:OFFSET")]
)
def test_halted_partition_says_how_to_go_on(end: int | None, where: str, behind: str) -> None:
    halted = {TopicPartition("t", 0): CorruptBatch(7, end, "bad CRC")}
    text = (
        f"corrupt batch at t:0, {where} (bad CRC): the partition is halted; "
        f"`labelstream skip p {behind}` resumes behind the batch"
    )
    assert look(Clock(), halted=halted) == {"halt t:0": text}


def test_missing_input_topic_is_an_alarm() -> None:
    missing = {"input": "input topic b does not exist"}
    assert look(Clock(), missing=missing) == missing
