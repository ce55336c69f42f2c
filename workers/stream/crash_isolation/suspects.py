"""Isolate records that may have killed workers: read a few at a time, with nothing else in flight in the worker.

A record can kill its worker: out of memory, in native code, or because Serve ends a worker whose loop is blocked. The
next worker would start at the same offset and die of the same record, forever. So a worker notes which records it is
about to read (crash_history.py), and its successor narrows these suspects down:

* A worker without suspects reads freely, and notes each partition once, when assigned.
* A partition with a note and without progress is suspect. Suspect partitions are read one at a time, the largest
  window first: innocent records pass before the culprit is read. All other partitions wait. Only the partition being
  read has a note, so that a death accuses no other partition.
* Windows shrink with each death, down to one record. A record that was alone in flight in three dead workers becomes a
  dead letter without being read.
* Before reading such a record again, the worker runs without it for a while. A worker killed for another reason dies in
  that time, and the record is not accused.
* A record that is in flight for long while the loop runs waits for a model or a topic. Its note is taken back until its
  processing continues. An orderly end takes all notes back.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from uuid import uuid4

from kafka.structs import TopicPartition

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.consumer.assignment import Notes, PartitionAssignment, PartitionProgress, log_fields
from labelstream.workers.stream.crash_isolation.crash_history import FREE_RECORDS, MAX_ALONE, CrashHistory, read

logger = logging.getLogger(__name__)
PROOF_S = 10.0  # how long a worker must live without a record before reading it again
WAITING_S = 10.0  # a record that kills does so earlier: its processing in the worker takes a few seconds
SILENT_S, SILENT_RETRY_S = 5.0, 30.0  # after SILENT_S without its records, a suspect partition lets others be read


@dataclass
class Lives:
    """This process, over all its consumers: `name` in notes; `before`: histories before its own notes."""

    name: str = field(default_factory=lambda: uuid4().hex[:8])
    before: dict[TopicPartition, CrashHistory] = field(default_factory=dict)

    def read(self, partition: TopicPartition, metadata: str) -> CrashHistory:
        """The history of dead processes, without this process's own note."""
        by, evidence = read(metadata)
        return self.before.get(partition, CrashHistory()) if by == self.name else evidence


@dataclass(slots=True, eq=False)
class Case:
    """One assignment of a partition. `doubt`: records still to be read in windows; `taken`: records in flight now;
    `admitted`: noted, and may be read freely."""

    progress: PartitionProgress
    evidence: CrashHistory
    doubt: int = 0
    taken: int = 0
    admitted: bool = False
    tried_at: float | None = None
    retry_at: float = 0.0


class SuspectRecords:
    """Decides which partitions may be read. Use from the thread that polls.

    `note`: commits offsets with metadata; False during a rebalance, in which nothing may be read. `behind`: messages
    that are not done; None if unknown.
    """

    def __init__(
        self,
        assignment: PartitionAssignment,
        lives: Lives,
        note: Callable[[Notes], bool],
        behind: Callable[[PartitionProgress], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._assignment, self._lives, self._note, self._behind, self._clock = assignment, lives, note, behind, clock
        self._cases: dict[PartitionProgress, Case] = {}
        self.is_waiting = False  # the note of the records in flight is taken back
        self._suspect: Case | None = None  # the partition being read alone
        self._noted_at = 0.0

    def fresh(self, assigned: Collection[PartitionProgress]) -> list[PartitionProgress]:
        """Those of all `assigned` partitions whose notes have not been read."""
        self._cases = {progress: case for progress in assigned if (case := self._cases.get(progress)) is not None}
        return [progress for progress in assigned if progress not in self._cases]

    def evidence(self, partition: TopicPartition, metadata: str) -> CrashHistory:
        """The crash history in the metadata of a committed offset."""
        return self._lives.read(partition, metadata)

    def begin(self, progress: PartitionProgress, offset: int, metadata: str, messages: int) -> None:
        """Start a fresh partition at its committed `offset`, with `messages` in the log after it."""
        partition, evidence = progress.partition, self.evidence(progress.partition, metadata)
        progress.begin(offset, metadata, evidence.text(self._lives.name))
        case = self._cases[progress] = Case(progress, evidence, min(evidence.records, messages))
        if evidence.alone:
            case.retry_at = self._clock() + PROOF_S
        if case.doubt:
            logger.warning(
                "%s:%d: the previous worker died without progress at offset %d (deaths in a row: %d); reading the next "
                "%d records at most %d at a time, with nothing else in flight",
                partition.topic,
                partition.partition,
                offset,
                evidence.lives,
                case.doubt,
                evidence.window(),
                extra=log_fields(partition, offset),
            )

    def begin_anew(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions whose offsets were reset."""
        for partition in partitions:
            progress = self._assignment.get(partition)
            if progress is not None:
                self._cases.pop(progress, None)

    def alone(self) -> bool:
        """Is a suspect partition next? Then call `readable` with nothing in flight and everything done committed."""
        if self._suspect is None or self._suspect.progress not in self._cases:
            self._suspect = self._next()
        return self._suspect is not None

    def readable(self) -> tuple[set[TopicPartition], int | None]:
        """The partitions to read now, and the most records to read; None: no extra limit."""
        if self._suspect is not None:
            self._look_at(self._suspect)
        if self._suspect is None:
            self._admit()
            return {case.progress.partition for case in self._cases.values() if case.admitted}, None
        case = self._suspect
        if not self._write(case, case.evidence.after(case.evidence.window())):
            return set(), None
        return {case.progress.partition}, case.evidence.window()

    def received(self, first: int, records: int) -> bool:
        """Count records received from the readable partitions. False: seek back, the records must not be processed."""
        case = self._suspect
        if case is None:
            return True
        evidence, progress = case.evidence, case.progress
        case.tried_at = None
        if evidence.window() == 1:
            if first != progress.committed:  # the suspect record is gone, and its history does not apply to this one
                evidence = case.evidence = evidence._replace(alone=0)
            if evidence.alone >= MAX_ALONE:
                self._condemn(case, first)
            elif not self._write(case, evidence.after(1, alone=True), first):
                return False
        case.taken, self._noted_at = records, self._clock()
        return True

    def wait(self) -> None:
        """Tell that the records in flight only wait; takes their note back after WAITING_S."""
        case = self._suspect
        if case is not None and case.taken and self._clock() - self._noted_at > WAITING_S:
            self.take_back([case.progress])
            self.is_waiting = True

    def go_on(self) -> None:
        """Tell that the records in flight are processed again: notes them again. Call if `is_waiting`."""
        case = self._suspect
        if case is None or case.progress.done > case.progress.committed:  # some records passed and are committed soon
            return
        if case.taken and case.progress.note == case.progress.prior:
            self._write(case, case.evidence.after(case.taken, alone=case.evidence.window() == 1))
            self._noted_at = self._clock()
        self.is_waiting = case.taken > 0 and case.progress.note == case.progress.prior  # a rebalance refuses notes

    def take_back(self, progresses: Iterable[PartitionProgress]) -> None:
        """Commit the metadata from before this worker's notes: its records killed nobody."""
        notes = {p.partition: (p.committed, p.prior) for p in progresses if p.note != p.prior and not p.revoked}
        if notes:
            self._note(notes)

    def _next(self) -> Case | None:
        """The suspect partition with the most records: the culprit's range is the smallest, and the others go first."""
        now = self._clock()
        due = [
            case
            for case in self._cases.values()
            if case.doubt > 0 and case.retry_at <= now and case.progress.halted is None
        ]
        return max(due, key=lambda case: (case.evidence.records, -case.evidence.alone), default=None)

    def _look_at(self, case: Case) -> None:
        """With nothing in flight: choose the next suspect if this one has passed, ended or is silent."""
        now = self._clock()
        if case.taken:
            case.doubt -= case.taken
            case.taken = 0
            case.evidence = CrashHistory(0, case.evidence.records, 0)
            if case.progress.condemned is not None:  # more poison records may follow
                case.progress.condemned = None
                case.evidence, case.doubt = CrashHistory(0, FREE_RECORDS, 0), FREE_RECORDS
        if case.doubt > 0 and self._behind(case.progress) == 0:
            case.doubt = 0
        if case.tried_at is None:
            case.tried_at = now
        elif now - case.tried_at > SILENT_S:
            case.tried_at, case.retry_at = None, now + SILENT_RETRY_S
            self.take_back([case.progress])
        if case.doubt <= 0 or case.retry_at > now or case.progress.halted is not None:
            self._suspect = self._next()

    def _admit(self) -> None:
        """Note all partitions without suspects and let them be read freely."""
        cases = [case for case in self._cases.values() if case.doubt <= 0 and not case.admitted]
        if not cases:
            return
        notes = {}
        for case in cases:
            self._lives.before[case.progress.partition] = case.evidence
            notes[case.progress.partition] = case.progress.committed, self._text(CrashHistory().after(FREE_RECORDS))
        if self._note(notes):
            for case in cases:
                case.admitted = True

    def _write(self, case: Case, evidence: CrashHistory, offset: int | None = None) -> bool:
        """Note the case, and take back notes of other partitions, which have nothing in flight."""
        progress = case.progress
        offset = progress.committed if offset is None else offset
        others = [other for other in self._cases.values() if other is not case]
        notes = {p.partition: (p.committed, p.prior) for other in others if (p := other.progress).note != p.prior}
        self._lives.before[progress.partition] = case.evidence or CrashHistory()
        if (progress.note, progress.committed) != (self._text(evidence), offset):
            notes[progress.partition] = offset, self._text(evidence)
        if notes and not self._note(notes):
            return False
        for other in others:
            other.admitted = other.admitted and other.progress.partition not in notes
        return True

    def _text(self, evidence: CrashHistory) -> str:
        return evidence.text(self._lives.name)

    def _condemn(self, case: Case, offset: int) -> None:
        partition, deaths = case.progress.partition, case.evidence.alone
        logger.error(
            "%s:%d:%d: %d workers died with only this record in flight; sending the record to the dead-letter topic",
            partition.topic,
            partition.partition,
            offset,
            deaths,
            extra=log_fields(partition, offset),
        )
        case.progress.condemned = Rejection(
            Reason.CRASHES_WORKER,
            Stage.CLASSIFY,
            "WorkerDeath",
            f"{deaths} workers died with only this record in flight",
            case.evidence.lives,
        )
