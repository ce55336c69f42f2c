"""Exactly-once delivery: results, dead letters and offsets in one transaction, fenced by the generation (KIP-447)."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future

from labelstream.workers.errors import Fenced, RecordRefused, StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.delivery.base import account
from labelstream.workers.stream.delivery.open_transaction import OpenTransaction
from labelstream.workers.stream.delivery.transactions import Aborted, TransactionalProducer
from labelstream.workers.stream.flow_control.backoff import Backoff
from labelstream.workers.stream.flow_control.send_window import SendWindow, Throttle
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import DeadLetterRefused, ProducedBatch
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)
FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 10.0  # before the next transaction after a failed one
DELETED_S = 5.0  # kafka-python repeats the offsets of a deleted topic without end
ABORT_SHARE = 2 / 3  # of the transaction timeout: leaves time for a new producer to abort at the brokers


class ExactlyOnce:
    """Satisfies `Delivery`. A transaction is open from its first micro-batch until its commit.

    The transaction closes after `transaction_interval_ms`, `transaction_max_messages`, half of
    `limits.max_in_flight_bytes`, or a full send window. A closed transaction commits when all its records are
    acknowledged; nothing is produced meanwhile. If a partition in it is revoked, the transaction is aborted and the
    micro-batches of the other partitions are sent again. `commit_timeout_s`: after this time the outcome counts as
    unknown. `producer`: the producer of `sink`.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        source: RecordSource,
        sink: ResultSink,
        producer: TransactionalProducer,
        stats: Stats,
        commit_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._sink, self._producer, self._stats = source, sink, producer, stats
        self._clock = clock
        self._output = settings.output
        self._interval_s = settings.transaction_interval_ms / 1000
        self._max_messages, self._commit_timeout_s = settings.transaction_max_messages, commit_timeout_s
        self._max_bytes = settings.limits.max_in_flight_bytes // 2  # the other half polls during the commit
        self._open = OpenTransaction(clock)
        self._window, self._throttle = SendWindow(clock), Throttle(settings, producer.throttled_s, clock)
        self._must_abort = self._in_doubt = False
        self._outcome: Future[None] | None = None
        self._failure, self._begin_at, self._backoff = "", 0.0, Backoff(FIRST_PAUSE_S, MAX_PAUSE_S)
        self._wake: Callable[[], None] = lambda: None

    def wake_with(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def ready_for(self, batch: MicroBatch) -> bool:
        return self._takes_more() and self._sink.ready_for(batch)

    def produce(self, batch: MicroBatch) -> ProducedBatch | None:
        if not self._takes_more():
            return None
        # Records of revoked partitions would abort this transaction and all later ones.
        batch.last_offsets = [(progress, offset) for progress, offset in batch.last_offsets if not progress.revoked]
        if not batch.last_offsets:
            return ProducedBatch(batch)
        self._open.begin()
        try:
            produced = self._sink.produce(batch, self._window.room())
        except (Fenced, DeadLetterRefused):
            raise
        except (Aborted, StreamError) as error:
            self._open.add(produced := ProducedBatch(batch))  # aborted together with the other batches
            self._send_again() if isinstance(error, Aborted) else self.failed(error)
        else:
            if produced is not None:
                self._open.add(produced)
                self._window.sent(produced.size)
        return produced

    def obstacles(self) -> dict[str, str]:
        failing = {"transaction": f"{self._failure}; the transaction is sent again"} if self._failure else {}
        return failing | self._sink.lacking() | self._throttle.alarms()

    def refused(self, error: RecordRefused) -> None:
        if not self._must_abort:
            logger.warning("%s; sending the transaction again, record by record", error)
            self._send_again()

    def failed(self, error: StreamError) -> None:
        if isinstance(error, Fenced):
            raise error
        # Safe: without a commit request nothing takes effect once a new producer has initialized the id.
        if not self._must_abort:
            logger.warning("%s; sending the transaction again", error)
            self._must_abort, self._failure = True, str(error)
            self._begin_at = self._clock() + self._backoff.next_s()

    def acknowledged(self, produced: ProducedBatch) -> None:
        if produced.batch.last_offsets:
            self._open.acknowledged.append(produced)
            self._window.took(produced.sent_at, self._throttle.left_s())

    def commit_when_due(self) -> list[MicroBatch] | None:
        if not self._open.batches:
            return None
        if self._in_doubt:
            return self._look_up()
        if self._outcome is not None:
            return self._conclude(self._outcome)
        if self._must_abort or self._open.is_revoked():
            return self._abort()
        if not self._open.closing and self._is_due():
            self._open.close()
        if not self._open.is_acknowledged():
            return self._wait_for_acknowledgements()
        return self._commit() if self._open.closing else None

    def uncommitted_bytes(self) -> int:
        return sum(produced.batch.weight for produced in self._open.acknowledged)

    def flush(self) -> bool:
        if self._open.batches and not self._open.closing:
            self._open.close()
        return not self._open.batches

    def _takes_more(self) -> bool:
        """May a micro-batch be added to the transaction?"""
        if self._open.closing or self._must_abort or not self._producer.ready() or self._window.room() == 0:
            return False
        # While throttled, add nothing to an open transaction: the wait would count toward its timeout.
        return self._clock() >= self._begin_at and self._throttle.left_s() == 0

    def _is_due(self) -> bool:
        """Is the transaction old or large enough, or can no more records be sent now?"""
        return (
            self._clock() >= self._open.opened_at + self._interval_s
            or self._open.messages >= self._max_messages
            or self._open.weight >= self._max_bytes
            or self._window.room() == 0
            or self._throttle.left_s() > 0
        )

    def _overdue_s(self) -> float:
        """Seconds since the transaction opened, if the brokers would soon abort it and fence the producer; else 0."""
        open_s = self._clock() - self._open.opened_at
        return open_s if open_s > self._commit_timeout_s * ABORT_SHARE else 0.0

    def _wait_for_acknowledgements(self) -> list[MicroBatch] | None:
        """Abort if acknowledgements take too long: a smaller transaction may finish in time."""
        if not (open_s := self._overdue_s()):
            return None
        self._failure = (
            f"{self._output}, or another topic of the pipeline, did not acknowledge {self._open.messages} "
            f"messages ({self._open.size} bytes) in {open_s:.0f} s"
        )
        logger.warning("%s; aborting the transaction before its timeout and sending it again", self._failure)
        self._window.overdue()
        return self._abort()

    def _send_again(self) -> None:
        self._sink.isolation.isolate(len(self._open.batches))
        self._must_abort = True

    def _abort(self) -> list[MicroBatch]:
        """Abort the open transaction. Returns its micro-batches, which must be produced again."""
        aborted = self._open.batches
        self._open.restore_notes()
        logger.info("aborting a transaction of %d messages and sending it again", self._open.messages)
        self._stats.add(transactions_aborted=1)
        self._reset()
        self._producer.abort()
        return aborted

    def _commit(self) -> list[MicroBatch] | None:
        # Get the membership before checking for revoked partitions: see OffsetCommitter.group_metadata.
        membership = self._source.committer.group_metadata()
        if self._open.is_revoked():
            return self._abort()
        if membership is None:  # not in the group: the next polls rejoin and report lost partitions
            return self._abort() if self._overdue_s() else None
        self._open.hold_notes()
        self._outcome = self._producer.commit(self._open.offsets(), membership, self._wake)
        return None

    def _conclude(self, outcome: "Future[None]") -> list[MicroBatch] | None:
        if not outcome.done():
            timeout_s = DELETED_S if self._open.is_revoked() else self._commit_timeout_s
            if self._clock() > self._open.closed_at + min(timeout_s, self._commit_timeout_s):
                self._doubt("a transaction was not committed in time")
            return None
        try:
            outcome.result()
        except Aborted:
            return self._abort()
        except Fenced:
            raise
        except StreamError as error:
            self._doubt(str(error))
        else:
            self._committed()
        return None

    def _doubt(self, why: str) -> None:
        """Start to resolve an unknown outcome: a new producer ends the transaction, then the group's offsets tell."""
        logger.warning("%s; reading the group's offsets to find the outcome", why)
        self._failure, self._in_doubt = why, True
        self._producer.abort()

    def _look_up(self) -> list[MicroBatch] | None:
        """Resolve the unknown outcome. Returns the micro-batches to produce again if it failed."""
        if not self._producer.ready():
            return None
        expected = self._open.offsets()
        committed = self._source.committer.committed(expected)
        if committed is None:
            return None
        if expected and all(committed.get(partition, -1) >= offset for partition, offset in expected.items()):
            self._committed()
            return None
        return self._abort()

    def _committed(self) -> None:
        self._producer.committed()
        self._source.assignment.committed(self._open.offsets())
        now = self._clock()
        for produced in self._open.acknowledged:
            account(produced, self._stats, now)
        self._stats.add(transactions=1)
        self._stats.took("commit_s", now - self._open.closed_at)
        self._stats.took("transaction_s", now - self._open.opened_at)
        self._failure = ""
        self._backoff.reset()
        self._reset()

    def _reset(self) -> None:
        self._window.done(self._open.size)
        self._open = OpenTransaction(self._clock)
        self._must_abort = self._in_doubt = False
        self._outcome = None
