"""The backlog as the brokers tell it, and what is known while they do not."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue]
from kafka.errors import KafkaTimeoutError
from kafka.structs import TopicPartition

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import StartError, StreamError
from labelstream.workers.stream.broker import backlog
from labelstream.workers.stream.broker.backlog import AGAIN_S, BacklogProbe, Standing
from labelstream.workers.stream.consumer.offset_reset import Log
from tests.support.clock import Clock
from tests.support.config_tree import tree

LOGS = {0: Log(2, 10), 1: Log(0, 5)}


class Admin:
    """A KafkaAdminClient of one topic, `in`, with LOGS. `committed`: by partition; `error`: raised by each question."""

    def __init__(self) -> None:
        self.committed: dict[int, int] = {0: 4}
        self.error: Exception | None = None
        self.partitions, self.described, self.closed = [1, 0], 0, False

    def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
        if self.error is not None:
            raise self.error
        self.described += 1
        numbers = [{"partition_index": number} for number in self.partitions]
        return [{"name": topic, "partitions": numbers} for topic in topics]

    def list_partition_offsets(self, places: dict[TopicPartition, Any], isolation_level: Any) -> dict[Any, Any]:
        if self.error is not None:
            raise self.error
        name = "start" if next(iter(places.values())) == OffsetSpec.EARLIEST else "end"
        return {place: SimpleNamespace(offset=getattr(LOGS[place.partition], name)) for place in places}

    def list_group_offsets(self, groups: dict[str, list[TopicPartition]]) -> dict[str, Any]:
        [(group, places)] = groups.items()
        return {
            group: {place: SimpleNamespace(offset=self.committed.get(place.partition, -1)) for place in places},
        }

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(backlog, "time", SimpleNamespace(monotonic=made))
    return made


@pytest.fixture
def admins(monkeypatch: pytest.MonkeyPatch) -> list[Admin]:
    """All that were made."""
    made: list[Admin] = []

    def make(**config: Any) -> Admin:
        made.append(Admin())
        return made[-1]

    monkeypatch.setattr(backlog, "KafkaAdminClient", make)
    monkeypatch.setattr(backlog, "connected_config", lambda kafka, patience_s: {})
    monkeypatch.setattr(backlog, "cause_of", lambda kafka, error: f"kafka.bootstrap_servers: the broker is {error}")
    return made


@pytest.fixture
def probe(clock: Clock, admins: list[Admin]) -> BacklogProbe:
    clock.now = 1_000.0
    return BacklogProbe(load_settings(tree()))


def test_backlog_is_what_the_group_has_not_committed(probe: BacklogProbe) -> None:
    assert probe.read() == {"feedback": {"in:0": Standing(10, 6), "in:1": Standing(5, 5)}}


def test_partitions_are_listed_in_discovery_interval(probe: BacklogProbe, admins: list[Admin], clock: Clock) -> None:
    probe.read()
    probe.read()
    assert admins[0].described == 1
    clock.now += 30
    admins[0].partitions = [0]
    assert probe.read() == {"feedback": {"in:0": Standing(10, 6)}}


def test_broker_that_fails_is_left_alone_for_a_while(probe: BacklogProbe, admins: list[Admin], clock: Clock) -> None:
    probe.read()
    admins[0].error = KafkaTimeoutError("down")
    with pytest.raises(StreamError, match=r"^the broker is .*down$"):
        probe.read()
    assert admins[0].closed
    with pytest.raises(StreamError, match=r"^the broker is .*down$"):
        probe.read()
    assert len(admins) == 1, "nobody was asked"
    clock.now += AGAIN_S
    assert probe.read()["feedback"]["in:0"] == Standing(10, 6)
    probe.close()
    assert admins[1].closed


def test_brokers_that_cannot_be_reached_leave_it_unknown(probe: BacklogProbe, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kafka: Any, patience_s: float) -> None:
        raise StartError("no broker")

    monkeypatch.setattr(backlog, "connected_config", refuse)
    with pytest.raises(StreamError, match=r"^no broker$"):
        probe.read()
