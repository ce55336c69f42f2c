"""What waits behind a group's offsets, and how the brokers' answers are read."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue]
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.stream.broker import positions as module
from labelstream.workers.stream.broker.positions import (
    Position,
    first_timestamps,
    group_starts_at_end,
    partitions_read,
    positions,
    read_positions,
)
from labelstream.workers.stream.consumer.offset_reset import Log
from tests.support.clock import Clock
from tests.support.decoding import pipeline

ZERO, ONE = TopicPartition("in", 0), TopicPartition("in", 1)
LOGS = {ZERO: Log(2, 10), ONE: Log(0, 5)}
PIPELINE = pipeline(start_from="latest")


@pytest.mark.parametrize(
    ("committed", "next_", "lag", "lost"),
    [(None, 2, 8, 0), (4, 4, 6, 0), (0, 2, 8, 2), (10, 10, 0, 0), (12, 12, 0, 0)],
    ids=str,
)
def test_lag_is_what_is_there_and_not_done(committed: int | None, next_: int, lag: int, lost: int) -> None:
    found = positions(LOGS, {ZERO: committed, ONE: 5}, at_end=False)
    assert found[ZERO] == Position(LOGS[ZERO], committed, next_)
    assert (found[ZERO].lag, found[ZERO].lost) == (lag, lost)
    assert found[ONE].lag == 0


def test_partition_without_offset_counts_from_its_start_offset() -> None:
    committed = {ZERO: None, ONE: None}
    assert [position.lag for position in positions(LOGS, committed, at_end=False).values()] == [8, 5]
    assert [position.lag for position in positions(LOGS, committed, at_end=True).values()] == [0, 0]


@pytest.mark.parametrize(
    ("start_from", "elsewhere", "at_end"),
    [("earliest", -1, False), ("latest", -1, True), ("latest", 3, False)],
)
def test_offset_in_any_topic_makes_latest_a_start(start_from: Any, elsewhere: int, at_end: bool) -> None:
    class Everywhere:
        def list_group_offsets(self, groups: dict[str, None]) -> dict[str, Any]:
            assert groups == {"g": None}
            return {"g": {TopicPartition("old", 0): SimpleNamespace(offset=elsewhere)}}

    assert group_starts_at_end(Everywhere(), "g", start_from, {ZERO: None}) is at_end
    assert group_starts_at_end(None, "g", start_from, {ZERO: 4}) is False


class Admin:
    """A KafkaAdminClient of one topic with LOGS, in which the group has committed 4 in partition 0."""

    code: int = 0
    refusals: tuple[Exception, ...] = ()  # raised one after the other

    def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
        parts = [{"partition_index": number} for number in (1, 0)]
        return [{"name": topics[0], "error_code": self.code, "authorized_operations": None, "partitions": parts}]

    def list_group_offsets(self, groups: dict[str, list[TopicPartition]]) -> dict[str, Any]:
        if self.refusals:
            first, *rest = self.refusals
            self.refusals = tuple(rest)
            raise first
        return {group: {ZERO: SimpleNamespace(offset=4), ONE: SimpleNamespace(offset=-1)} for group in groups}

    def list_partition_offsets(self, places: dict[TopicPartition, Any], isolation_level: Any) -> dict[Any, Any]:
        name = "start" if next(iter(places.values())) == OffsetSpec.EARLIEST else "end"
        return {place: SimpleNamespace(offset=getattr(LOGS[place], name)) for place in places}


def test_brokers_tell_offsets_and_logs() -> None:
    assert read_positions(Admin(), PIPELINE, "g") == {
        ZERO: Position(LOGS[ZERO], 4, 4),
        ONE: Position(LOGS[ONE], None, 0),
    }


def test_missing_right_on_the_group_names_it() -> None:
    admin = Admin()
    admin.refusals = (GroupAuthorizationFailedError(),)
    with pytest.raises(StartError, match=r"^no permission to see group g; grant DESCRIBE on it$"):
        read_positions(admin, PIPELINE, "g")


def test_first_group_of_a_broker_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COORDINATOR_WAIT_S", 0.0)
    admin = Admin()
    admin.refusals = (CoordinatorNotAvailableError(),) * 3
    assert read_positions(admin, PIPELINE, "g")[ZERO].committed == 4
    admin.refusals = (CoordinatorNotAvailableError(),) * 100
    with pytest.raises(StartError, match="no broker coordinates group g"):
        read_positions(admin, PIPELINE, "g")


@pytest.mark.parametrize(("code", "part"), [(3, "topic in does not exist"), (29, "grant DESCRIBE on it")])
def test_topic_that_is_not_seen_is_named(code: int, part: str) -> None:
    admin = Admin()
    admin.code = code
    with pytest.raises(StartError, match=part):
        read_positions(admin, PIPELINE, "g")


def test_missing_topic_of_several_has_no_partitions() -> None:
    class Two:
        def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
            parts = [{"partition_index": 0}]
            here = {"name": "b", "error_code": 0, "authorized_operations": None, "partitions": parts}
            return [{**here, "name": "a", "error_code": 3, "partitions": []}, here][: len(topics)]

    assert partitions_read(Two(), ["a", "b"]) == [TopicPartition("b", 0)]
    assert partitions_read(None, []) == []
    with pytest.raises(StartError, match="topic a does not exist"):
        partitions_read(Two(), ["a"])


class Consumer:
    """Gives one partition a poll; the clock goes on by a second each time."""

    def __init__(self, clock: Clock, timestamps: dict[TopicPartition, int]) -> None:
        self._clock, self._timestamps = clock, timestamps
        self.sought: dict[TopicPartition, int] = {}
        self.paused: list[TopicPartition] = []
        self.positions: dict[TopicPartition, int] = {}
        self.closed = False

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = places

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.sought[place] = offset

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self._clock.now += 1.0
        left = [place for place in self._timestamps if place not in self.paused]
        return {place: [SimpleNamespace(offset=4, timestamp=self._timestamps[place])] * 2 for place in left[:1]}

    def position(self, place: TopicPartition) -> int:
        return self.positions.get(place, self.sought[place])

    def pause(self, place: TopicPartition) -> None:
        self.paused.append(place)

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        assert not autocommit
        self.closed = True


@pytest.fixture
def make_consumer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Consumer, Clock]]:
    def make(timestamps: dict[TopicPartition, int]) -> tuple[Consumer, Clock]:
        clock = Clock()
        consumer = Consumer(clock, timestamps)
        monkeypatch.setattr(module, "make_reader", lambda config: consumer)
        return consumer, clock

    return make


def test_first_record_of_each_partition_tells_its_time(make_consumer: Callable[..., tuple[Consumer, Clock]]) -> None:
    consumer, clock = make_consumer({ZERO: 1_000, ONE: -1})
    assert first_timestamps({}, {ZERO: Log(4, 9), ONE: Log(0, 9)}, clock) == {ZERO: 1_000}, "ONE has no time"
    assert consumer.sought == {ZERO: 4, ONE: 0}
    assert consumer.closed


def test_partition_that_gives_nothing_ends_the_wait(make_consumer: Callable[..., tuple[Consumer, Clock]]) -> None:
    consumer, clock = make_consumer({ONE: 7})
    assert first_timestamps({}, {ZERO: Log(4, 9), ONE: Log(0, 9)}, clock) == {ONE: 7}
    assert consumer.closed


def test_range_without_a_record_has_no_first_one(make_consumer: Callable[..., tuple[Consumer, Clock]]) -> None:
    consumer, clock = make_consumer({ONE: 7})
    consumer.positions[ZERO] = 9  # past control records
    assert first_timestamps({}, {ZERO: Log(7, 9), ONE: Log(0, 4)}, clock) == {ZERO: None, ONE: None}
    assert consumer.paused == [ZERO, ONE]


def test_nothing_is_read_where_nothing_waits() -> None:
    assert first_timestamps({}, {}) == {}
