"""Records that may have killed earlier workers are taken a few at a time, with nothing else in flight in the worker.

A worker may die of a record: out of memory, in native code, or because Serve ends it when one turn of its loop takes
too long. The next worker begins at the same offset, and would die of the same record, for ever. So what a worker is
about to take is noted before it takes it (death_count.py), and its successor narrows down what it finds noted:

* A worker that suspects nothing runs freely, and notes each partition once, when it gets it.
* A partition that an earlier worker noted, and did not get on with, is under suspicion. Suspects are taken one
  partition after another, the widest range first: who is innocent gets on and is cleared, while the record at fault is
  not met yet. All other partitions wait that long. Only the partition that is taken from has a note so long; an end
  of the worker accuses nobody else.
* The windows go down with each death, to a single record. A record that was the only one in flight in three workers
  that died becomes a dead letter, unread.
* Before a record that a worker died of alone is tried again, the worker runs without it for a while: a worker that is
  killed for other reasons is killed then as well, and the record is not accused of that.
* A record in flight for long, while the loop turns, waits for somebody else: a model, a topic. Until it goes on, its
  note is taken back. So are all notes at an orderly end.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import uuid4

from kafka.structs import TopicPartition

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.consumer.assignment import Notes, PartitionAssignment, PartitionProgress, log_fields
from labelstream.workers.stream.crash_isolation.death_count import FREE_RECORDS, MAX_ALONE, CrashHistory, read

logger = logging.getLogger(__name__)
PROOF_S = 10.0  # that a worker lives without a record before it tries that record again
WAITING_S = 10.0  # a record that kills does so sooner: what happens to it in the worker takes seconds at most
SILENT_S, SILENT_RETRY_S = 5.0, 30.0  # a suspect whose records do not come holds the others back no longer


@dataclass
class Lives:
    """Of this process, over all its consumers: its name in notes, and what it knew before it wrote them."""

    name: str = field(default_factory=lambda: uuid4().hex[:8])
    before: dict[TopicPartition, CrashHistory] = field(default_factory=dict)

    def read(self, partition: TopicPartition, metadata: str) -> CrashHistory:
        """Of processes that have died. This one lives, whatever consumers it has lost."""
        by, evidence = read(metadata)
        return self.before.get(partition, CrashHistory()) if by == self.name else evidence


@dataclass(slots=True, eq=False)
class Case:
    """One assignment of a partition. `doubt`: so many records are still to be taken in windows; `taken`: so many are in
    flight now; `admitted`: it is noted, and may be read freely."""

    progress: PartitionProgress
    evidence: CrashHistory
    doubt: int = 0
    taken: int = 0
    admitted: bool = False
    tried_at: float | None = None
    retry_at: float = 0.0


class SuspectRecords:
    """Who may be read now. Used by the thread that polls.

    `note` commits offsets with their metadata, and is False when a rebalance is in the way: nothing is read then.
    `behind`: messages in the log that are not done; None where nobody has told yet.
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
        self._suspect: Case | None = None  # whose turn it is
        self._noted_at = 0.0

    def fresh(self) -> list[PartitionProgress]:
        """Held partitions that have not begun."""
        held = self._assignment.assigned()
        self._cases = {progress: case for progress in held if (case := self._cases.get(progress)) is not None}
        return [progress for progress in held if progress not in self._cases]

    def evidence(self, partition: TopicPartition, metadata: str) -> CrashHistory:
        """What the metadata of the partition's committed offset tells."""
        return self._lives.read(partition, metadata)

    def begin(self, progress: PartitionProgress, offset: int, metadata: str, messages: int) -> None:
        """A fresh partition begins at its committed `offset`, with so many messages in the log behind it."""
        partition, evidence = progress.partition, self.evidence(progress.partition, metadata)
        progress.begin(offset, metadata, evidence.text(self._lives.name))
        case = self._cases[progress] = Case(progress, evidence, min(evidence.records, messages))
        if evidence.alone:
            case.retry_at = self._clock() + PROOF_S
        if case.doubt:
            logger.warning(
                "%s:%d: the worker before ended without progress at offset %d (in a row: %d); of the next %d "
                "records at most %d are taken at once, with nothing else in flight",
                partition.topic,
                partition.partition,
                offset,
                evidence.lives,
                case.doubt,
                evidence.window(),
                extra=log_fields(partition, offset),
            )

    def begin_anew(self, partitions: Iterable[TopicPartition]) -> None:
        """Their offsets were moved."""
        for partition in partitions:
            progress = self._assignment.get(partition)
            if progress is not None:
                self._cases.pop(progress, None)

    def alone(self) -> bool:
        """Is it a suspect's turn? Then nothing may be in flight, and all that is done committed, before `readable`."""
        if self._suspect is None or self._suspect.progress not in self._cases:
            self._suspect = self._next()
        return self._suspect is not None

    def readable(self) -> tuple[set[TopicPartition], int | None]:
        """The partitions to read now, and how many records at most; None: as many as usual."""
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
        """So many records came in of what was readable, the first one at that offset. False: they may not be taken."""
        case = self._suspect
        if case is None:
            return True
        evidence, progress = case.evidence, case.progress
        case.tried_at = None
        if evidence.window() == 1:
            if first != progress.committed:  # the record there is gone: what is told of it is not told of this one
                evidence = case.evidence = evidence._replace(alone=0)
            if evidence.alone >= MAX_ALONE:
                self._condemn(case, first)
            elif not self._write(case, evidence.after(1, alone=True), first):
                return False
        case.taken, self._noted_at = records, self._clock()
        return True

    def wait(self) -> None:
        """What is in flight is still in flight."""
        case = self._suspect
        if case is not None and case.taken and self._clock() - self._noted_at > WAITING_S:
            self.take_back([case.progress])

    def go_on(self) -> None:
        """The worker has something to do again with what is in flight: it may die of it."""
        case = self._suspect
        if case is None or case.progress.done > case.progress.committed:  # some of it has passed, and is committed soon
            return
        if case.taken and case.progress.note == case.progress.prior:
            self._write(case, case.evidence.after(case.taken, alone=case.evidence.window() == 1))
            self._noted_at = self._clock()

    def take_back(self, progresses: Iterable[PartitionProgress]) -> None:
        """Nobody died of their records here."""
        back = {p.partition: (p.committed, p.prior) for p in progresses if p.note != p.prior and not p.revoked}
        if back:
            self._note(back)

    def _next(self) -> Case | None:
        """The suspect with the widest range: the culprit's is the narrowest, and the others are to get on first."""
        now = self._clock()
        due = [
            case
            for case in self._cases.values()
            if case.doubt > 0 and case.retry_at <= now and case.progress.halted is None
        ]
        return max(due, key=lambda case: (case.evidence.records, -case.evidence.alone), default=None)

    def _look_at(self, case: Case) -> None:
        """Nothing is in flight: has it passed, is it at its end, or silent? Then it is another one's turn."""
        now = self._clock()
        if case.taken:
            case.doubt -= case.taken
            case.taken = 0
            case.evidence = CrashHistory(0, case.evidence.records, 0)
            if case.progress.condemned is not None:  # where one is, there may be more
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
        """Whoever is under no suspicion runs freely from here on."""
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
        """Note it, and take back what is noted of others: they are not in flight."""
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
            "%s:%d:%d: %d workers have died while they had this record alone: it is a dead letter",
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
            f"{deaths} workers died while they had this record alone",
            case.evidence.lives,
        )
