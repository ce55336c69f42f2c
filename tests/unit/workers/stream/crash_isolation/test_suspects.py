"""Lives of workers one after another, on a group's offsets of paper: who is accused, and who is never."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.assignment import Notes, PartitionAssignment, PartitionProgress
from labelstream.workers.stream.crash_isolation.crash_history import MAX_ALONE, CrashHistory, read
from labelstream.workers.stream.crash_isolation.suspects import (
    PROOF_S,
    SILENT_RETRY_S,
    SILENT_S,
    WAITING_S,
    Lives,
    SuspectRecords,
)
from labelstream.workers.stream.flow_control.batch_sizer import FIRST_RECORDS

IN_FLIGHT = 4  # micro-batches of a worker that runs freely
TURN_S = 0.05


class Died(Exception):
    pass


class World:
    """What outlives workers: logs, the group's offsets with their metadata, answers and dead letters."""

    def __init__(self, partitions: int, records: int, poison: set[tuple[int, int]]) -> None:
        self.logs = {TopicPartition("in", number): records for number in range(partitions)}
        self.group: Notes = dict.fromkeys(self.logs, (0, ""))
        self.poison, self.now = poison, 0.0
        self.answered: set[tuple[int, int]] = set()
        self.buried: set[tuple[int, int]] = set()

    def done(self) -> bool:
        return all(self.group[partition][0] == end for partition, end in self.logs.items())

    def evidence(self, number: int = 0) -> CrashHistory:
        return read(self.group[TopicPartition("in", number)][1])[1]

    def all_records(self) -> set[tuple[int, int]]:
        return {(partition.partition, offset) for partition, end in self.logs.items() for offset in range(end)}


class Worker:
    """One life. Takes records as the pipeline does: freely up to IN_FLIGHT micro-batches, or suspects alone."""

    def __init__(self, world: World, lives: Lives | None = None) -> None:
        self.world, self.assignment = world, PartitionAssignment()
        self.suspects = SuspectRecords(self.assignment, lives or Lives(), self._note, self._behind, lambda: world.now)
        self.assignment.on_partitions_assigned(world.logs)
        self.silent: set[TopicPartition] = set()
        self.in_flight: list[list[tuple[PartitionProgress, int, int]]] = []
        self.rebalancing = False

    def turn(self, answer: bool = True) -> None:
        """Take what may be taken, and answer the oldest micro-batch, with `answer`."""
        self.world.now += TURN_S
        for progress in self.suspects.fresh(self.assignment.assigned()):
            offset, text = self.world.group[progress.partition]
            self.suspects.begin(progress, offset, text, self.world.logs[progress.partition] - offset)
        if self.suspects.alone():
            if self.in_flight:
                self.suspects.wait()
            else:
                self._take()
        elif len(self.in_flight) < IN_FLIGHT:
            self._take()
        if answer and self.in_flight:
            self._answer(self.in_flight.pop(0))

    def end_in_order(self) -> None:
        self.suspects.take_back([*self.assignment.assigned(), *self.assignment.revoking()])

    def _take(self) -> None:
        partitions, max_records = self.suspects.readable()
        assert max_records is None or (len(partitions) == 1 and not self.in_flight) or not partitions
        share, batch = max_records or FIRST_RECORDS // max(1, len(partitions)), []
        for partition in sorted(partitions - self.silent):
            progress = self.assignment.get(partition)
            assert progress is not None
            first = max(progress.received, progress.committed)
            records = min(share, self.world.logs[partition] - first)
            if records and self.suspects.received(first, records):
                progress.receive(first, first + records - 1)
                batch.append((progress, first, records))
        if batch:
            self.in_flight.append(batch)
            for progress, first, records in batch:
                taken = {(progress.partition.partition, first + at) for at in range(records)}
                if progress.condemned is None and taken & self.world.poison:
                    raise Died

    def _answer(self, batch: list[tuple[PartitionProgress, int, int]]) -> None:
        if self.suspects.is_waiting:
            self.suspects.go_on()
        for progress, first, records in batch:
            places = {(progress.partition.partition, first + at) for at in range(records)}
            (self.world.buried if progress.condemned is not None else self.world.answered).update(places)
            progress.finish(first + records - 1)
            self.world.group[progress.partition] = progress.done, progress.note
            self.assignment.committed({progress.partition: progress.done})

    def _note(self, notes: Notes) -> bool:
        if not self.rebalancing:
            self.world.group.update(notes)
            self.assignment.noted(notes)
        return not self.rebalancing

    def _behind(self, progress: PartitionProgress) -> int:
        return self.world.logs[progress.partition] - max(progress.done, progress.committed)


@contextmanager
def dies() -> Iterator[None]:
    with pytest.raises(Died):
        yield


def live(worker: Worker, turns: int = 100_000) -> None:
    """Until all is done."""
    for _ in range(turns):
        if worker.world.done():
            return
        worker.turn()
    raise AssertionError("makes no progress")


def lives_lost(world: World, max_lost: int) -> int:
    """How many workers die until one gets through."""
    for lost in range(max_lost + 1):
        try:
            live(Worker(world))
        except Died:
            continue
        return lost
    raise AssertionError(f"more than {max_lost} lives lost")


@given(partitions=st.integers(1, 8), records=st.integers(1, 600), seed=st.integers(0, 10**6), count=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_whoever_kills_is_found_and_nobody_else_is_buried(partitions: int, records: int, seed: int, count: int) -> None:
    chance = random.Random(seed)
    poison = {(chance.randrange(partitions), chance.randrange(records)) for _ in range(count)}
    world = World(partitions, records, poison)
    lives_lost(world, max_lost=7 * len(poison))
    assert world.buried == poison
    assert world.answered == world.all_records() - poison


def test_one_culprit_of_eight_costs_few_deaths_and_others_progress() -> None:
    world = World(8, 2_000, {(5, 3)})
    with dies():
        live(Worker(world))
    assert [bool(world.evidence(number)) for number in range(8)] == [True] * 8
    for _ in range(2):
        with dies():
            live(Worker(world))
    assert [bool(world.evidence(number)) for number in range(8)] == [number == 5 for number in range(8)]
    assert all(world.group[TopicPartition("in", number)][0] >= 256 for number in range(8) if number != 5)
    assert world.evidence(5)[1:] == (1, 1)
    assert lives_lost(world, max_lost=8) == MAX_ALONE - 1
    assert world.buried == {(5, 3)}


@given(seed=st.integers(0, 10**6), kills=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_kills_that_are_no_records_fault_bury_nothing(seed: int, kills: int) -> None:
    """However many: before a worker tries again what one died of alone, it lives without it for a while."""
    world, chance = World(3, 2_000, set()), random.Random(seed)
    for _ in range(kills):
        worker = Worker(world)
        for _ in range(chance.randrange(int(PROOF_S / TURN_S))):
            worker.turn(answer=chance.random() < 0.02)
    lives_lost(world, max_lost=0)
    assert world.answered == world.all_records()
    assert not world.buried


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_kills_while_a_model_is_away_bury_nothing(seed: int) -> None:
    world, chance = World(2, 500, set()), random.Random(seed)
    for _ in range(15):
        worker = Worker(world)
        for _ in range(int(chance.uniform(PROOF_S + WAITING_S + 1, 60) / TURN_S)):
            worker.turn(answer=False)
    assert world.evidence().alone == 0
    lives_lost(world, max_lost=0)
    assert not world.buried


@given(turns=st.integers(0, 300), lost=st.integers(0, 4), answer=st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_end_in_order_accuses_nobody(turns: int, lost: int, answer: bool) -> None:
    world = World(2, 5_000, {(0, 5)})
    for _ in range(lost):
        with dies():
            live(Worker(world))
    before = [(world.group[partition][0], world.evidence(partition.partition)) for partition in world.logs]
    world.poison = set()
    worker = Worker(world)
    for _ in range(turns):
        worker.turn(answer)
    worker.end_in_order()
    for (offset, evidence), (partition, (now, _)) in zip(before, world.group.items(), strict=True):
        assert world.evidence(partition.partition) == (evidence if now == offset else CrashHistory())


def test_stream_restart_in_same_process_is_no_death() -> None:
    world, lives = World(1, 500, {(0, 5)}), Lives()
    with dies():
        live(Worker(world))
    world.poison = set()
    for _ in range(5):
        Worker(world, lives).turn(answer=False)
    assert world.evidence() == CrashHistory(2, 16, 0)
    worker = Worker(world, Lives())
    worker.turn(answer=False)
    assert worker.suspects.readable()[1] in (1, None)


def test_nothing_is_read_before_it_is_noted() -> None:
    world = World(2, 100, set())
    worker = Worker(world)
    worker.rebalancing = True
    worker.turn()
    assert not worker.in_flight
    assert not world.answered
    worker.rebalancing = False
    worker.turn(answer=False)
    assert all(world.evidence(number) == CrashHistory(1, 256, 0) for number in range(2))
    live(worker)


def test_silent_suspect_does_not_hold_others_back() -> None:
    world = World(2, 400, {(1, 5)})
    with dies():
        live(Worker(world))
    with dies():
        live(Worker(world))
    world.poison = set()
    worker = Worker(world)
    suspect = TopicPartition("in", 1)
    worker.silent = {suspect}
    for _ in range(int(2 * SILENT_S / TURN_S)):
        worker.turn()
    assert world.group[TopicPartition("in", 0)][0] == 400
    assert world.evidence(1) == CrashHistory(2, 16, 0), "the note is taken back"
    worker.silent = set()
    world.now += SILENT_RETRY_S
    live(worker)
    assert world.answered == world.all_records()


def test_record_waiting_for_model_is_not_suspected() -> None:
    world = World(1, 50, {(0, 0)})
    for _ in range(2):
        with dies():
            live(Worker(world))
    world.poison = set()
    assert world.evidence() == CrashHistory(2, 16, 0)
    worker = Worker(world)
    worker.turn(answer=False)
    assert world.evidence() == CrashHistory(3, 1, 1)
    for _ in range(int(WAITING_S / TURN_S) + 2):
        worker.turn(answer=False)
    assert world.evidence() == CrashHistory(2, 16, 0)
    assert worker.suspects.is_waiting
    worker.rebalancing = True
    worker.suspects.go_on()
    assert worker.suspects.is_waiting, "the broker took no note"
    worker.rebalancing = False
    worker.suspects.go_on()
    assert not worker.suspects.is_waiting
    assert world.evidence() == CrashHistory(3, 1, 1)


def test_verdict_of_deleted_record_spares_next_record() -> None:
    world = World(1, 50, {(0, 0)})
    for _ in range(5):
        with dies():
            live(Worker(world))
    assert world.evidence().alone == MAX_ALONE
    world.poison = set()
    worker = Worker(world)
    worker.turn(answer=False)  # begins
    world.now += PROOF_S
    assert worker.suspects.alone()
    partitions, max_records = worker.suspects.readable()
    assert (len(partitions), max_records) == (1, 1)
    assert worker.suspects.received(7, 1)
    [progress] = worker.assignment.assigned()
    assert progress.condemned is None
    assert world.group[progress.partition][0] == 7
    assert world.evidence().alone == 1
