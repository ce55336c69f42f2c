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
from labelstream.workers.stream.broker.positions import Position, first_timestamps, positions, read_positions
from labelstream.workers.stream.consumer.offset_reset import Log
from tests.support.clock import Clock

LOGS = {0: Log(2, 10), 1: Log(0, 5)}
ZERO, ONE = TopicPartition("in", 0), TopicPartition("in", 1)


@pytest.mark.parametrize(
    ("committed", "next_", "lag", "lost"),
    [(None, 2, 8, 0), (4, 4, 6, 0), (0, 2, 8, 2), (10, 10, 0, 0), (12, 12, 0, 0)],
    ids=str,
)
def test_lag_is_what_is_there_and_not_done(committed: int | None, next_: int, lag: int, lost: int) -> None:
    found = positions(LOGS, {0: committed, 1: 5}, "earliest")
    assert found[0] == Position(LOGS[0], committed, next_)
    assert (found[0].lag, found[0].lost) == (lag, lost)
    assert found[1].lag == 0


def lags(committed: dict[int, int | None], start_from: Any) -> list[int]:
    return [position.lag for position in positions(LOGS, committed, start_from).values()]


def test_partition_without_an_offset_counts_from_where_it_would_be_read() -> None:
    assert lags({0: None, 1: None}, "earliest") == [8, 5]
    assert lags({0: None, 1: None}, "latest") == [0, 0]
    assert lags({0: None, 1: 5}, "latest") == [8, 0], "one decides for all"


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
        return {place: SimpleNamespace(offset=getattr(LOGS[place.partition], name)) for place in places}


def test_brokers_tell_offsets_and_logs() -> None:
    assert read_positions(Admin(), "in", "g", "latest") == {
        0: Position(LOGS[0], 4, 4),
        1: Position(LOGS[1], None, 0),
    }


def test_missing_right_on_the_group_names_it() -> None:
    admin = Admin()
    admin.refusals = (GroupAuthorizationFailedError(),)
    with pytest.raises(StartError, match=r"^no permission to see group g; grant DESCRIBE on it$"):
        read_positions(admin, "in", "g", "latest")


def test_first_group_of_a_broker_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COORDINATOR_WAIT_S", 0.0)
    admin = Admin()
    admin.refusals = (CoordinatorNotAvailableError(),) * 3
    assert read_positions(admin, "in", "g", "latest")[0].committed == 4
    admin.refusals = (CoordinatorNotAvailableError(),) * 100
    with pytest.raises(StartError, match="no broker coordinates group g"):
        read_positions(admin, "in", "g", "latest")


@pytest.mark.parametrize(("code", "part"), [(3, "topic in does not exist"), (29, "grant DESCRIBE on it")])
def test_topic_that_is_not_seen_is_named(code: int, part: str) -> None:
    admin = Admin()
    admin.code = code
    with pytest.raises(StartError, match=part):
        read_positions(admin, "in", "g", "latest")


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
