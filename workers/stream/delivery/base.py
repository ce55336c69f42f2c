"""When what was sent counts as done, and its offsets are committed: the two ways of delivery."""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from labelstream.workers import tracing
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.batch import MicroBatch
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.producer.produced_batch import LetterRefused, Shipment
from labelstream.workers.stream.producer.send_window import Flow, Throttle
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats

log = logging.getLogger(__name__)
COMMIT_MS = 5_000


class Delivery(Protocol):
    """Used by the pipeline's thread alone. Its methods raise `StreamError` when the stream cannot go on."""

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from whatever thread, when `turn` has something to do."""
        ...

    def ready_for(self, batch: MicroBatch) -> bool:
        """May this one be shipped now? Never waits."""
        ...

    def ship(self, batch: MicroBatch) -> Shipment:
        """Send what `batch` became, or the head of it that there is room for; shipments are settled in this order."""
        ...

    def obstacles(self) -> dict[str, str]:
        """What keeps the output from taking all that it could: texts for a person, by what they are about."""
        ...

    def settled(self, shipment: Shipment) -> None:
        """Every record of it is acknowledged."""
        ...

    def refused(self, error: RecordRefused) -> None:
        """The broker refused a record of what was shipped for itself: all of it is void, see `turn`.

        May be called again for the same refusal.
        """
        ...

    def failed(self, error: StreamError) -> None:
        """A record of what was shipped failed with `error`: raises it, or all of it is void, see `turn`."""
        ...

    def turn(self) -> list[MicroBatch] | None:
        """Commit when it is time. Never waits.

        Where all that was sent since the last commit is void: its micro-batches, to be shipped again in this order
        before any other; no shipment that was handed out before may be settled then. None otherwise.
        `AtLeastOnce` does not send a second time what the broker has taken of them.
        """
        ...

    def kept(self) -> int:
        """What the micro-batches weigh that are settled and wait for their commit."""
        ...

    def flush(self) -> bool:
        """Commit all that is settled, as soon as possible. False as long as something is left: turn and call again."""
        ...


def account(shipment: Shipment, stats: Stats) -> None:
    """What was sent counts: it is acknowledged, and where it is part of a transaction, committed."""
    for progress, offset in shipment.batch.ends:
        progress.finish(offset)
    now = time.monotonic()
    waited_ms = (now - shipment.sent_at) * 1000
    shipment.tally.latencies_ms = [latency + waited_ms for latency in shipment.tally.latencies_ms]
    stats.sent(shipment.tally, shipment.batch.stages(shipment.sent_at, now))
    tracing.end(shipment.batch.span)


class AtLeastOnce:
    """What is acknowledged is done; offsets follow every `commit_interval_ms`.

    When the broker refuses a record for itself, the broker's answers to all others are awaited, and what it has not
    taken is sent again record by record.
    """

    def __init__(
        self, settings: PipelineSettings, source: RecordSource, sink: ResultSink, stats: Stats,
        reach: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._source, self._sink, self._stats, self._reach = source, sink, stats, reach
        self._interval_s = settings.commit_interval_ms / 1000
        self._next_commit = time.monotonic()
        self._shipped: deque[Shipment] = deque()
        self._refused = False
        self._flow, self._throttle = Flow(), Throttle(settings, sink.throttled_s)

    def wake_with(self, wake: Callable[[], None]) -> None:
        pass  # nothing here happens by itself

    def ready_for(self, batch: MicroBatch) -> bool:
        if self._refused or self._flow.room() == 0 or not self._sink.ready_for(batch):
            return False
        # A refusal breaks the producer, and with it what is not acknowledged.
        return not (self._sink.goes_alone(batch) and any(shipment.awaited() for shipment in self._shipped))

    def ship(self, batch: MicroBatch) -> Shipment:
        try:
            shipment = self._sink.ship(batch, self._flow.room())
        except LetterRefused as error:
            self._keep(error.shipment)
            raise
        self._flow.sent(shipment.size)
        self._shipped.append(shipment)
        return shipment

    def obstacles(self) -> dict[str, str]:
        return self._sink.lacking() | self._throttle.told()

    def settled(self, shipment: Shipment) -> None:
        self._shipped.popleft()
        self._flow.took(shipment.sent_at)
        self._flow.done(shipment.size)
        if any(progress.note for progress, _ in shipment.batch.ends):
            self._next_commit = 0.0  # the next worker shall not suspect what has passed
        account(shipment, self._stats)

    def refused(self, error: RecordRefused) -> None:
        if not self._refused:
            log.warning("%s; what the broker does not have is sent again record by record", error)
            self._refused = True

    def failed(self, error: StreamError) -> None:
        raise error

    def turn(self) -> list[MicroBatch] | None:
        if time.monotonic() >= self._next_commit:
            self._reach("before_commit")
            self._source.commit()
            self._reach("after_commit")
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

    def _keep(self, last: Shipment) -> None:
        """Commit all that was sent before a dead letter that nobody takes, so that no new start repeats it."""
        for shipment in (*self._shipped, last):
            if not shipment.settle():
                return
            account(shipment, self._stats)
        self._source.commit_and_wait(COMMIT_MS)
