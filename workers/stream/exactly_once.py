"""Results, dead letters and offsets in one Kafka transaction, fenced by the group's generation (KIP-447)."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future

from workers.errors import RecordRefused, StreamError
from workers.settings import PipelineSettings
from workers.stream.batch import MicroBatch
from workers.stream.delivery import account
from workers.stream.offsets import Offsets
from workers.stream.shipment import Shipment
from workers.stream.sink import ResultSink
from workers.stream.source import RecordSource
from workers.stream.stats import Stats
from workers.stream.transactions import Aborted, TransactionalProducer

log = logging.getLogger(__name__)


class ExactlyOnce:
    """Satisfies `Delivery`. A transaction is open from its first micro-batch until its commit.

    It closes after `transaction_interval_ms`, `transaction_max_messages` or half of `limits.max_in_flight_bytes`; then
    nothing is shipped until everything in it is acknowledged and it is committed. When a partition in it was taken away
    before that, it is aborted, and what it holds of the partitions that stay is sent again in the next one.
    `commit_timeout_s`: an outcome that takes longer counts as unknown. `producer` is the one that `sink` sends with.
    """

    def __init__(
        self, settings: PipelineSettings, source: RecordSource, sink: ResultSink, producer: TransactionalProducer,
        stats: Stats, commit_timeout_s: float,
    ) -> None:
        self._source, self._sink, self._producer, self._stats = source, sink, producer, stats
        self._interval_s = settings.transaction_interval_ms / 1000
        self._max_messages, self._commit_timeout_s = settings.transaction_max_messages, commit_timeout_s
        self._max_bytes = settings.limits.max_in_flight_bytes // 2  # the next one fills while it is committed
        self._shipped: list[MicroBatch] = []
        self._settled: list[Shipment] = []
        self._messages = self._bytes = 0
        self._opened_at = self._closed_at = 0.0
        self._closing = self._void = False
        self._outcome: Future[None] | None = None
        self._wake: Callable[[], None] = lambda: None

    def wake_with(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def ready(self) -> bool:
        return not (self._closing or self._void)

    def ship(self, batch: MicroBatch) -> Shipment:
        # What was taken away already would make this transaction void as well, and the next one, for ever.
        batch.ends = [(progress, offset) for progress, offset in batch.ends if not progress.revoked]
        if not batch.ends:
            return Shipment(batch)
        if not self._shipped:
            self._opened_at = time.monotonic()
        self._shipped.append(batch)
        self._messages += len(batch.items)
        self._bytes += batch.weight
        try:
            return self._sink.ship(batch)
        except Aborted:
            self._send_again()
        return Shipment(batch)  # void like all the others

    def refused(self, error: RecordRefused) -> None:
        if not self._void:
            log.warning("%s; the transaction is sent again record by record", error)
            self._send_again()

    def settled(self, shipment: Shipment) -> None:
        if shipment.batch.ends:
            self._settled.append(shipment)

    def turn(self) -> list[MicroBatch] | None:
        if not self._shipped:
            return None
        if self._outcome is not None:
            return self._conclude(self._outcome)
        if self._void or any(progress.revoked for batch in self._shipped for progress, _ in batch.ends):
            return self._abort()
        now = time.monotonic()
        due = now >= self._opened_at + self._interval_s or self._messages >= self._max_messages
        if not self._closing and (due or self._bytes >= self._max_bytes):
            self._close()
        if self._closing and len(self._settled) == len(self._shipped):
            return self._commit()
        return None

    def kept(self) -> int:
        return sum(shipment.batch.weight for shipment in self._settled)

    def flush(self) -> bool:
        if self._shipped and not self._closing:
            self._close()
        return not self._shipped

    def _send_again(self) -> None:
        self._sink.be_careful(len(self._shipped))
        self._void = True

    def _abort(self) -> list[MicroBatch]:
        """End the open transaction without effect: its micro-batches, to be shipped again."""
        void = self._shipped
        log.info("a transaction of %d messages is aborted and sent again", self._messages)
        self._stats.add(transactions_aborted=1)
        self._begin_anew()
        self._producer.abort()
        return void

    def _close(self) -> None:
        self._closing, self._closed_at = True, time.monotonic()

    def _commit(self) -> list[MicroBatch] | None:
        # First the membership, then what is held: see RecordSource.membership.
        membership = self._source.membership()
        if any(progress.revoked for batch in self._shipped for progress, _ in batch.ends):
            return self._abort()
        if membership is None:  # out of the group: the next polls join again and tell what is lost
            self._check_time()
            return None
        self._outcome = self._producer.commit(self._offsets(), membership)
        self._outcome.add_done_callback(lambda _: self._wake())
        return None

    def _offsets(self) -> Offsets:
        return {progress.partition: offset + 1 for batch in self._shipped for progress, offset in batch.ends}

    def _conclude(self, outcome: "Future[None]") -> list[MicroBatch] | None:
        if not outcome.done():
            self._check_time()
            return None
        try:
            outcome.result()
        except Aborted:
            return self._abort()
        self._producer.committed()
        self._source.ownership.committed(self._offsets())
        for shipment in self._settled:
            account(shipment, self._stats)
        self._stats.add(transactions=1)
        now = time.monotonic()
        self._stats.took("commit_s", now - self._closed_at)
        self._stats.took("transaction_s", now - self._opened_at)
        self._begin_anew()
        return None

    def _check_time(self) -> None:
        taken_s = time.monotonic() - self._closed_at
        if taken_s > self._commit_timeout_s:
            raise StreamError(f"a transaction was not committed within {taken_s:.0f} s: its outcome is unknown")

    def _begin_anew(self) -> None:
        self._shipped, self._settled = [], []
        self._messages = self._bytes = 0
        self._closing = self._void = False
        self._outcome = None
