"""At-least-once delivery: commit offsets after their results are acknowledged."""

import logging
import time
from collections import deque
from collections.abc import Callable

from labelstream.workers import failpoints
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.delivery.base import account
from labelstream.workers.stream.flow_control.send_window import SendWindow, Throttle
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import DeadLetterRefused, ProducedBatch
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)
COMMIT_MS = 5_000


class AtLeastOnce:
    """Satisfies `Delivery`. Commits offsets every `commit_interval_ms`.

    After a refused record, this delivery waits for the responses to all other records. Then it sends unacknowledged
    records again, one by one.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        source: RecordSource,
        sink: ResultSink,
        stats: Stats,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._sink, self._stats, self._clock = source, sink, stats, clock
        self._interval_s = settings.commit_interval_ms / 1000
        self._next_commit = clock()
        self._produced: deque[ProducedBatch] = deque()
        self._refused = False
        self._window, self._throttle = SendWindow(clock), Throttle(settings, sink.throttled_s, clock)

    def wake_with(self, wake: Callable[[], None]) -> None:
        pass  # all work happens in the pipeline's loop

    def ready_for(self, batch: MicroBatch) -> bool:
        return self._room_for(batch) > 0 and self._sink.ready_for(batch)

    def produce(self, batch: MicroBatch) -> ProducedBatch | None:
        if not (room := self._room_for(batch)):
            return None
        try:
            produced = self._sink.produce(batch, room)
        except DeadLetterRefused as error:
            self._commit_produced(error.produced)
            raise
        if produced is not None:
            self._window.sent(produced.size)
            self._produced.append(produced)
        return produced

    def obstacles(self) -> dict[str, str]:
        return self._sink.lacking() | self._throttle.alarms()

    def acknowledged(self, produced: ProducedBatch) -> None:
        self._produced.popleft()
        self._window.took(produced.sent_at)
        self._window.done(produced.size)
        if any(progress.note for progress, _ in produced.batch.last_offsets):
            self._next_commit = 0.0  # commit now, so that the next worker does not suspect these records
        account(produced, self._stats, self._clock())

    def refused(self, error: RecordRefused) -> None:
        if not self._refused:
            logger.warning("%s; sending unacknowledged records again, one by one", error)
            self._refused = True

    def failed(self, error: StreamError) -> None:
        raise error

    def commit_when_due(self) -> list[MicroBatch] | None:
        if self._clock() >= self._next_commit:
            failpoints.passed(failpoints.BEFORE_COMMIT)
            self._source.committer.commit()
            failpoints.passed(failpoints.AFTER_COMMIT)
            self._next_commit = self._clock() + self._interval_s
        # Records after the refused one end soon: a broken producer fails all unsent records.
        if not self._refused or self._awaits_acks():
            return None
        aborted = list(self._produced)
        self._window.done(sum(produced.size for produced in aborted))
        self._produced.clear()
        self._refused = False
        self._sink.isolation.send_again(aborted)
        return [produced.batch for produced in aborted]

    def uncommitted_bytes(self) -> int:
        return 0

    def flush(self) -> bool:
        return self._source.committer.commit_and_wait(COMMIT_MS)

    def _room_for(self, batch: MicroBatch) -> int:
        """Bytes that may be sent now; 0: wait for acknowledgements."""
        if self._refused or not (room := self._window.room()):
            return 0
        # A refused record breaks the producer, which fails all unacknowledged records: wait for them first.
        waits = self._produced and self._sink.isolation.applies_to(batch) and self._awaits_acks()
        return 0 if waits else room

    def _awaits_acks(self) -> bool:
        return any(produced.unacknowledged_topic() for produced in self._produced)

    def _commit_produced(self, last: ProducedBatch) -> None:
        """Commit all records sent before a refused dead letter, so that a restart does not repeat them."""
        for produced in (*self._produced, last):
            if not produced.poll_acks():
                return
            account(produced, self._stats, self._clock())
        self._source.committer.commit_and_wait(COMMIT_MS)
