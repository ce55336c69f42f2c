"""What is left in the log behind what is done, as far as the consumer knows."""

from typing import Any

from kafka.errors import IllegalStateError
from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.assignment import PartitionAssignment, PartitionProgress
from labelstream.workers.stream.consumer.lag import Lag

A, B = TopicPartition("in", 0), TopicPartition("in", 1)


class Known:
    """Stands in for a consumer and its fetching: ends of logs, and positions."""

    def __init__(self, ends: dict[TopicPartition, int | None], positions: dict[TopicPartition, int]) -> None:
        self._ends, self._positions = ends, positions

    def highwater(self, partition: TopicPartition) -> int | None:
        if partition not in self._ends:
            raise IllegalStateError(f"{partition} is not assigned")
        return self._ends[partition]

    def position(self, partition: TopicPartition) -> int | None:
        return self._positions.get(partition)


def lag(known: Any, *partitions: TopicPartition) -> tuple[Lag, list[PartitionProgress]]:
    assignment = PartitionAssignment()
    assignment.on_partitions_assigned(partitions)
    return Lag(known, known, assignment), assignment.assigned()


def test_lag_counts_from_what_is_done() -> None:
    found, [progress] = lag(Known({A: 100}, {A: 20}), A)
    progress.receive(10, 19)
    progress.finish(14)
    assert found.by_partition() == {"in:0": (85, 100)}
    assert found.behind(progress) == 85


def test_lag_with_nothing_in_flight_counts_from_the_position() -> None:
    """Control records are fetched but never received: behind them nothing is left."""
    found, [progress] = lag(Known({A: 21}, {A: 21}), A)
    progress.receive(10, 19)
    progress.finish(19)
    assert found.by_partition() == {"in:0": (0, 21)}


def test_lag_is_unknown_until_a_fetch_tells() -> None:
    known = Known({A: None, B: 9}, {A: 3})
    found, [first, second] = lag(known, A, B)
    assert (found.behind(first), found.behind(second)) == (None, None)
    assert found.by_partition() == {}


def test_lag_of_a_partition_taken_away_is_unknown() -> None:
    found, [progress] = lag(Known({}, {A: 3}), A)
    assert found.behind(progress) is None


def test_lag_is_never_negative() -> None:
    """The end is that of the last fetch, which may be older than the position."""
    found, [progress] = lag(Known({A: 5}, {A: 8}), A)
    assert found.behind(progress) == 0
