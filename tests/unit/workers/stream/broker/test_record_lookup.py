"""Many records by their places, each as it is or with the reason why there is none."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import TopicAuthorizationFailedError
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker import record_lookup
from labelstream.workers.stream.broker.record_lookup import RecordLookup, RecordPlace
from tests.support.positions import Positions

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")
BEGIN, END, HOLE = 5, 50_000, 8


class Consumer(Positions):
    """The logs of in:0 and in:1 hold BEGIN up to END, but for HOLE; `polled` are the offsets that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.polled: list[int] = []
        self.turns = 0
        self.forbidden = self.closed = False

    def partitions_for_topic(self, topic: str) -> set[int]:
        if self.forbidden:
            raise TopicAuthorizationFailedError()
        return {0, 1} if topic == "in" else set()

    def beginning_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, BEGIN)

    def end_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, END)

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.turns += 1
        super().assign(partitions)

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        found = {}
        for partition, at in self.at.items():
            offsets = [offset for offset in range(at, min(at + 100, END)) if offset != HOLE]
            self.polled += offsets
            self.at[partition] = at + 100
            found[partition] = [SimpleNamespace(**partition._asdict(), offset=offset) for offset in offsets]
        return found

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        self.closed = True


@pytest.fixture
def lookup(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[RecordLookup, Consumer]]:
    consumer = Consumer()
    monkeypatch.setattr(record_lookup, "make_reader", lambda config: consumer)
    return lambda: (RecordLookup({}, KAFKA, "the texts"), consumer)


def test_places_of_all_partitions_are_found_at_once(lookup: Any) -> None:
    records, consumer = lookup()
    places = [RecordPlace("in", number, offset) for number in (0, 1) for offset in (40_000, 7, 9, 40_900)]
    found = records.find(places)
    assert [found[place].offset for place in places] == [place.offset for place in places]
    assert consumer.turns == 2
    assert len(consumer.polled) < 3_000, "what lies between far places is not read"
    records.close()
    assert consumer.closed


def test_places_without_a_record_have_the_reason(lookup: Any) -> None:
    records, _ = lookup()
    reasons = {
        RecordPlace("in", 0, 4): "deleted by retention: the log begins at 5",
        RecordPlace("in", 0, HOLE): "the record is gone: compacted, or its transaction was aborted",
        RecordPlace("in", 0, END): "the log ends at 50000",
        RecordPlace("in", 7, 6): "unknown topic or partition",
        RecordPlace("other", 0, 6): "unknown topic or partition",
        RecordPlace("no/topic", 0, 6): "unknown topic or partition",
    }
    found = records.find([*reasons, RecordPlace("in", 1, 6)])
    assert found.pop(RecordPlace("in", 1, 6)).offset == 6
    assert found == reasons


def test_nothing_is_asked_for_nothing(lookup: Any) -> None:
    records, consumer = lookup()
    assert records.find([]) == {}
    records.close()
    assert not consumer.closed


def test_missing_right_is_told(lookup: Any) -> None:
    records, consumer = lookup()
    consumer.forbidden = True
    with pytest.raises(StartError, match="topic in: no permission to read the texts; grant READ on it"):
        records.find([RecordPlace("in", 0, 6)])
