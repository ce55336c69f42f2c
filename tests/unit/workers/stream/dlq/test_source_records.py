"""The very record that a dead letter was made of, or none: never another one in its place."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaError, TopicAuthorizationFailedError
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker import record_lookup
from labelstream.workers.stream.codec.encoding.dead_letters import omission
from labelstream.workers.stream.dlq.source_records import SourceRecords
from tests.support.dead_letters import letter

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")
P = TopicPartition("in", 1)


class Consumer:
    """The log of in:1 holds offsets 5..8, each with its number as the value."""

    def __init__(self) -> None:
        self.at = -1
        self.error: KafkaError | None = None
        self.closed = False

    def partitions_for_topic(self, topic: str) -> set[int]:
        if self.error is not None:
            raise self.error
        return {0, 1} if topic == "in" else set()

    def beginning_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 5)

    def end_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 9)

    def assign(self, partitions: Any) -> None:
        assert partitions == [P]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at = offset

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        return self.at

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        offset, self.at = self.at, self.at + 1
        return {P: [SimpleNamespace(**P._asdict(), offset=offset, value=b"%d" % offset)]}

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        self.closed = True


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> list[Consumer]:
    """Those that were made."""
    made: list[Consumer] = []

    def make(config: dict[str, Any]) -> Consumer:
        made.append(Consumer())
        return made[-1]

    monkeypatch.setattr(record_lookup, "make_reader", make)
    return made


def lacking(offset: int, value: bytes, topic: str = "in", partition: int = 1) -> Any:
    """A dead letter without its value, made of the record at `offset`."""
    found = letter(3, b"", topic, partition, value_omitted=omission(value).encode())
    return found._replace(offset=offset)


def test_record_is_found_by_its_place_and_its_hash(consumers: list[Consumer]) -> None:
    sources = SourceRecords({}, KAFKA)
    found = sources.find(lacking(6, b"6"))
    assert found is not None
    assert (found.offset, found.value) == (6, b"6")
    assert sources.find(lacking(7, b"another")) is None  # the topic was made anew
    assert len(consumers) == 1


@pytest.mark.parametrize(
    "gone",
    [
        lacking(4, b"4"),
        lacking(9, b"9"),
        lacking(6, b"6", topic="deleted"),
        lacking(6, b"6", partition=2),
        lacking(6, b"6", topic="no/topic's name"),
    ],
    ids=["deleted", "not there yet", "no topic", "no partition", "no name"],
)
def test_record_that_is_gone_is_none(consumers: list[Consumer], gone: Any) -> None:
    assert SourceRecords({}, KAFKA).find(gone) is None


def test_topic_that_may_not_be_read_is_named(consumers: list[Consumer]) -> None:
    sources = SourceRecords({}, KAFKA)
    assert sources.find(lacking(6, b"6")) is not None
    consumers[0].error = TopicAuthorizationFailedError()
    with pytest.raises(StartError, match=r"topic in: no permission to read values .*; grant READ on it"):
        sources.find(lacking(7, b"7"))


def test_consumer_is_closed_where_one_was_made(consumers: list[Consumer]) -> None:
    sources = SourceRecords({}, KAFKA)
    sources.close()
    assert consumers == []
    sources.find(lacking(6, b"6"))
    sources.close()
    assert consumers[0].closed
