"""New partitions are held back until it is known how earlier workers ended, and let go in order."""

import logging
from typing import Any

import pytest
from kafka.errors import CommitFailedError, KafkaError, KafkaTimeoutError
from kafka.structs import TopicPartition

from labelstream.workers.errors import ConfigError, StreamError
from labelstream.workers.stream.consumer.assignment import PartitionAssignment
from labelstream.workers.stream.crash_isolation.crash_history import FREE_RECORDS, CrashHistory
from labelstream.workers.stream.crash_isolation.partition_hold import PartitionHold
from labelstream.workers.stream.crash_isolation.suspects import Lives

A, B = TopicPartition("in", 0), TopicPartition("in", 1)
DIED = CrashHistory().after(FREE_RECORDS).text("feed")


class Group:
    """Stands in for a consumer, its membership and its fetching: logs that end at 100."""

    def __init__(self) -> None:
        self.positions: dict[TopicPartition, int] = {A: 10, B: 20}
        self.committed: dict[TopicPartition, tuple[int, str]] = {}
        self.stopped: set[TopicPartition] = set()
        self.is_joining = False
        self.losses = 0
        self.error: KafkaError | None = None
        self.asked = 0

    def pause(self, partition: TopicPartition) -> None:
        if partition not in self.positions:
            raise KeyError(partition)
        self.stopped.add(partition)

    def position(self, partition: TopicPartition) -> int | None:
        return self.positions.get(partition)

    def joining(self) -> bool:
        return self.is_joining

    def notes(self, partitions: Any, timeout_ms: int) -> dict[TopicPartition, tuple[int, str]]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return {place: found for place, found in self.committed.items() if place in partitions}

    def end_offsets(self, partitions: Any, timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 100)

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        if self.error is not None:
            raise self.error
        self.committed |= {place: (entry.offset, entry.metadata) for place, entry in offsets.items()}


class Bench:
    def __init__(self, *partitions: TopicPartition) -> None:
        self.group, self.assignment = Group(), PartitionAssignment()
        group: Any = self.group
        self.hold = PartitionHold(group, group, group, self.assignment, Lives("abc"), lambda progress: 1)
        self.assignment.on_partitions_assigned(partitions or [A])

    def readable(self) -> tuple[set[TopicPartition], int | None]:
        self.hold.suspects.alone()
        return self.hold.suspects.readable()


def test_new_partitions_are_paused_and_those_gone_passed_over() -> None:
    bench = Bench()
    bench.hold.hold([A, TopicPartition("in", 9)])
    assert bench.group.stopped == {A}


def test_partition_of_workers_that_ended_well_is_read_freely() -> None:
    bench = Bench()
    bench.hold.begin(bench.assignment.assigned())
    assert bench.readable() == ({A}, None)
    offset, note = bench.group.committed[A]
    assert (offset, note.startswith("labelstream:1;by=abc;")) == (10, True)


def test_partition_of_a_worker_that_died_is_read_in_windows() -> None:
    bench = Bench(A, B)
    bench.group.committed = {A: (10, DIED)}
    bench.hold.begin(bench.assignment.assigned())
    assert bench.readable() == ({A}, CrashHistory().after(FREE_RECORDS).window())


def test_partition_without_a_position_waits_for_a_later_poll() -> None:
    bench = Bench()
    position = bench.group.positions.pop(A)
    bench.hold.begin(bench.assignment.assigned())
    assert (bench.group.asked, bench.readable()) == (0, (set(), None))
    bench.group.positions[A] = position
    bench.hold.begin(bench.assignment.assigned())
    assert bench.readable() == ({A}, None)


def test_nothing_begins_while_the_group_joins() -> None:
    bench = Bench()
    bench.group.is_joining = True
    bench.hold.begin(bench.assignment.assigned())
    assert bench.group.asked == 0


def test_offsets_that_are_not_told_in_time_are_asked_for_again() -> None:
    bench = Bench()
    bench.group.error = KafkaTimeoutError()
    bench.hold.begin(bench.assignment.assigned())
    bench.group.error = None
    bench.hold.begin(bench.assignment.assigned())
    assert (bench.group.asked, bench.readable()) == (2, ({A}, None))


def test_offsets_that_cannot_be_read_end_the_stream() -> None:
    bench = Bench()
    bench.group.error = KafkaError("not allowed")
    with pytest.raises(StreamError, match=r"no committed offsets \(KafkaError: .*not allowed"):
        bench.hold.begin(bench.assignment.assigned())


@pytest.mark.parametrize("problem", [CommitFailedError(), KafkaTimeoutError(), "stale"], ids=str)
def test_partition_that_cannot_be_noted_is_not_read(problem: Any) -> None:
    bench = Bench()
    bench.hold.begin(bench.assignment.assigned())
    bench.group.losses = 1 if problem == "stale" else 0
    bench.group.error = None if problem == "stale" else problem
    assert bench.readable() == (set(), None)
    assert bench.group.committed == {}


def test_note_that_fails_for_good_ends_the_stream() -> None:
    bench = Bench()
    bench.hold.begin(bench.assignment.assigned())
    bench.group.error = KafkaError("not allowed")
    with pytest.raises(StreamError, match=r"commit failed \(KafkaError: "):
        bench.readable()


def test_release_takes_back_the_notes_of_what_goes() -> None:
    bench = Bench(A, B)
    bench.hold.begin(bench.assignment.assigned())
    bench.readable()
    bench.assignment.on_partitions_revoked([A])
    [leaving] = bench.assignment.revoking()
    bench.hold.release()
    assert bench.group.committed[A] == (10, "")
    assert bench.group.committed[B][1] != ""
    assert (leaving.revoked, bench.assignment.revoking()) == (True, [])


def test_orderly_end_takes_back_all_notes(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(A, B)
    bench.hold.begin(bench.assignment.assigned())
    bench.readable()
    bench.hold.take_back()
    assert {note for _, note in bench.group.committed.values()} == {""}


def test_end_whose_notes_cannot_be_taken_back_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.hold.begin(bench.assignment.assigned())
    bench.readable()
    bench.group.error = KafkaError("away")
    with caplog.at_level(logging.INFO):
        bench.hold.take_back()
    assert "the crash notes of this worker could not be taken back" in caplog.text


@pytest.mark.parametrize(
    ("error", "kept"),
    [(None, True), (ConfigError("a", "b", "c"), False), (StreamError("d"), True), (RuntimeError("e"), True)],
    ids=repr,
)
def test_run_that_a_person_has_to_mend_accuses_no_record(error: BaseException | None, kept: bool) -> None:
    bench = Bench()
    bench.hold.begin(bench.assignment.assigned())
    bench.readable()
    bench.hold.on_exit(None, error, None)
    assert (bench.group.committed[A][1] != "") == kept
