"""No more of the dead-letter topic is read than the selection needs."""

from itertools import islice
from typing import Any

import pytest
from kafka.structs import (
    OffsetAndTimestamp,  # pyright: ignore
    TopicPartition,
)

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.connection import IN_MEMORY_API
from labelstream.workers.stream.dlq.dead_letters import Selection
from labelstream.workers.stream.dlq.query import Bounds, bounds_of, find_letters
from tests.support.dead_letters import letter
from tests.support.positions import Positions

A, B = TopicPartition("dlq", 0), TopicPartition("dlq", 1)
KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")


class Consumer(Positions):
    """Reads the letters 0..4 of A; B is empty. Finds a time at an offset of a tenth of it."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = [letter(offset).record for offset in range(5)]

    def assignment(self) -> set[TopicPartition]:
        return {A, B}

    def beginning_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return {partition: 5 if partition == A else 0 for partition in partitions}

    def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, Any]:
        found = {partition: ms // 10 for partition, ms in times.items()}
        return {p: OffsetAndTimestamp(at, at * 10, -1) if p == A and at < 5 else None for p, at in found.items()}

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        first = self.at[A]
        self.at[A] = first + 2
        return {A: self.letters[first : first + 2]}


def bounds(in_memory: bool = False, **wanted: Any) -> dict[TopicPartition, tuple[int, int]]:
    consumer: Any = Consumer()
    config: dict[str, Any] = {"bootstrap_servers": "127.0.0.1:1"}
    if in_memory:
        config["api_version"] = IN_MEMORY_API
    return bounds_of(config, KAFKA, consumer, Selection(**wanted))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, {A: (0, 5)}),
        ({"since_ms": 25}, {A: (2, 5)}),
        ({"since_ms": 99}, {}),
        ({"places": frozenset({(0, 1), (0, 3)})}, {A: (1, 4)}),
        ({"places": frozenset({(0, 9), (1, 0)})}, {}),
    ],
    ids=str,
)
def test_bounds_hold_all_that_may_be_selected(wanted: Any, expected: Any) -> None:
    assert bounds(**wanted) == expected


def test_broker_that_knows_no_times_is_read_from_the_start() -> None:
    assert bounds(in_memory=True, since_ms=25) == {A: (0, 5)}


def test_letters_are_found_within_the_bounds_alone() -> None:
    consumer: Any = Consumer()
    wanted = Selection(places=frozenset({(0, 1), (0, 2), (0, 4)}), since_ms=0)
    found = find_letters(KAFKA, consumer, {A: (1, 4)}, wanted)
    assert [one.place for one in found] == [(0, 1), (0, 2)]


@pytest.mark.parametrize("bounds", [{A: (1, 4)}, {}], ids=["some found", "no such partition"])
def test_place_without_a_dead_letter_is_an_error(bounds: Bounds) -> None:
    consumer: Any = Consumer()
    wanted = Selection(places=frozenset({(0, 1), (7, 0)} if bounds else {(7, 0)}))
    found = find_letters(KAFKA, consumer, bounds, wanted)
    assert [one.place for one in islice(found, len(bounds))] == [(0, 1)] * len(bounds)
    with pytest.raises(StartError, match=r"^no dead letter at 7:0; `labelstream dlq list -c FILE` lists all$"):
        next(found)
