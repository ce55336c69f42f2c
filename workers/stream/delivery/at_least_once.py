"""At least once: what is acknowledged is done, and offsets are committed after it."""

import logging
import time
from collections import deque
from collections.abc import Callable

from labelstream.workers import failpoints
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.delivery.base import account
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import DeadLetterRefused, ProducedBatch
from labelstream.workers.stream.producer.send_window import SendWindow, Throttle
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)
COMMIT_MS = 5_000


class AtLeastOnce:
    """What is acknowledged is done; offsets follow every `commit_interval_ms`.

    When the broker refuses a record for itself, the broker's answers to all others are awaited, and what it has not
    taken is sent again record by record.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        source: RecordSource,
        sink: ResultSink,
        stats: Stats,
    ) -> None:
        self._source, self._sink, self._stats = source, sink, stats
        self._interval_s = settings.commit_interval_ms / 1000
        self._next_commit = time.monotonic()
        self._shipped: deque[ProducedBatch] = deque()
        self._refused = False
        self._flow, self._throttle = SendWindow(), Throttle(settings, sink.throttled_s)

    def wake_with(self, wake: Callable[[], None]) -> None:
        pass  # nothing here happens by itself

    def ready_for(self, batch: MicroBatch) -> bool:
        if self._refused or self._flow.room() == 0 or not self._sink.ready_for(batch):
            return False
        # A refusal breaks the producer, and with it what is not acknowledged.
        return not (self._sink.goes_alone(batch) and any(shipment.awaited() for shipment in self._shipped))

    def ship(self, batch: MicroBatch) -> ProducedBatch:
        try:
            shipment = self._sink.ship(batch, self._flow.room())
        except DeadLetterRefused as error:
            self._keep(error.shipment)
            raise
        self._flow.sent(shipment.size)
        self._shipped.append(shipment)
        return shipment

    def obstacles(self) -> dict[str, str]:
        return self._sink.lacking() | self._throttle.told()

    def settled(self, shipment: ProducedBatch) -> None:
        self._shipped.popleft()
        self._flow.took(shipment.sent_at)
        self._flow.done(shipment.size)
        if any(progress.note for progress, _ in shipment.batch.last_offsets):
            self._next_commit = 0.0  # the next worker shall not suspect what has passed
        account(shipment, self._stats)

    def refused(self, error: RecordRefused) -> None:
        if not self._refused:
            logger.warning("%s; what the broker does not have is sent again record by record", error)
            self._refused = True

    def failed(self, error: StreamError) -> None:
        raise error

    def commit_when_due(self) -> list[MicroBatch] | None:
        if time.monotonic() >= self._next_commit:
            failpoints.passed(failpoints.BEFORE_COMMIT)
            self._source.commit()
            failpoints.passed(failpoints.AFTER_COMMIT)
            self._next_commit = time.monotonic() + self._interval_s
        # Those behind the refused one end soon as well: a broken producer fails what it has not sent.
        if not self._refused or any(shipment.awaited() for shipment in self._shipped):
            return None
        void = list(self._shipped)
        self._flow.done(sum(shipment.size for shipment in void))
        self._shipped.clear()
        self._refused = False
        self._sink.send_again(void)
        return [shipment.batch for shipment in void]

    def kept(self) -> int:
        return 0

    def flush(self) -> bool:
        return self._source.commit_and_wait(COMMIT_MS)

    def _keep(self, last: ProducedBatch) -> None:
        """Commit all that was sent before a dead letter that nobody takes, so that no new start repeats it."""
        for shipment in (*self._shipped, last):
            if not shipment.settle():
                return
            account(shipment, self._stats)
        self._source.commit_and_wait(COMMIT_MS)
