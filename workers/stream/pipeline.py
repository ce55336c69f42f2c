"""The way of the data through one worker, from one consumer to one producer, for as long as both live.

One thread does all of it, turn by turn: ship what is answered, settle what is acknowledged, poll, decode, submit,
commit. A second thread for the shipping gained nothing under the GIL. Micro-batches are shipped in the order of their
submission; at most `max_in_flight` of them are anywhere between poll and acknowledgement.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping

from schemas.dead_letter import Reason
from workers.classifier import Classifier
from workers.errors import InferenceError
from workers.settings import PipelineSettings
from workers.stream.batch import Call, MicroBatch, make_calls, make_items
from workers.stream.decode import decoder
from workers.stream.pace import Pace
from workers.stream.sink import ResultSink, Shipment
from workers.stream.source import Polled, RecordSource
from workers.stream.stats import Stats

log = logging.getLogger(__name__)
POLL_MS = 100
BUSY_WAIT_S = 0.02  # between two polls that bring nothing while something is in flight; an answer ends it
PAUSED_WAIT_S = 0.05


class Pipeline:
    """One run. Neither source nor sink nor classifiers are closed here. One calling thread, but for the numbers."""

    def __init__(
        self,
        settings: PipelineSettings,
        source: RecordSource,
        sink: ResultSink,
        classifiers: Mapping[str, Classifier],
        stats: Stats,
    ) -> None:
        self._settings, self._source, self._sink, self._classifiers = settings, source, sink, classifiers
        self._stats = stats
        self._pace = Pace(settings.max_poll_records, settings.max_in_flight, settings.drain_timeout_s)
        self._decode = decoder(settings)
        self._skipped_reasons = _skipped_reasons(settings)
        self._in_flight: deque[MicroBatch] = deque()  # in the order of their submission: first the shipped ones
        self._shipped: deque[Shipment] = deque()
        self._wake = threading.Event()
        self._next_commit = self._polled_at = time.monotonic()
        self._fruitful = False

    def turn(self, accept: bool) -> None:
        """One turn of the loop: ship and settle, take in what there is room for (with `accept`), commit when it is
        time.

        Blocks for at most about 100 ms. Raises what stops the stream: `StreamError` or a bug's own exception.
        """
        self._ship()
        self._settle()
        self._submit(self._poll(accept))
        if time.monotonic() >= self._next_commit:
            self._source.commit()
            self._next_commit = time.monotonic() + self._settings.commit_interval_ms / 1000

    def drained(self) -> bool:
        """Is nothing in flight?"""
        return not self._in_flight

    def oldest_s(self) -> float:
        """How long the oldest micro-batch in flight is under way, in seconds; 0 without any."""
        try:
            return time.monotonic() - self._in_flight[0].received_at
        except IndexError:
            return 0.0

    def in_flight(self) -> int:
        """Messages between poll and acknowledgement."""
        return sum(len(batch.items) for batch in tuple(self._in_flight))

    def _poll(self, accept: bool) -> Polled:
        """Waits for records when nothing is in flight, else for answers; not at all while polls bring records."""
        paused = not accept or len(self._in_flight) >= self._settings.max_in_flight
        if self._in_flight and not self._fruitful and not self._source.joining():
            self._wake.wait(PAUSED_WAIT_S if paused else BUSY_WAIT_S)
            self._wake.clear()
            if paused and time.monotonic() < self._polled_at + PAUSED_WAIT_S:
                return []  # woken by an answer: what a paused poll is for, staying in the group, has time
        waits = not paused and not self._in_flight
        polled = self._source.poll(POLL_MS if waits else 0, paused, self._pace.records())
        self._polled_at, self._fruitful = time.monotonic(), bool(polled)
        return polled

    def _submit(self, polled: Polled) -> None:
        if not polled:
            return
        settings = self._settings
        items = [
            item
            for progress, records in polled
            for item in make_items(records, progress, self._decode, settings.model, self._skipped_reasons)
        ]
        batch = MicroBatch(items, make_calls(items, self._classifiers))
        for call in batch.calls:
            call.when_done(self._wake.set)
        unknown = sum(len(item.message.model_extra or ()) for item in items if item.message is not None)
        self._stats.add(messages_in=len(items), unknown_fields=unknown)
        self._in_flight.append(batch)

    def _ship(self) -> None:
        while len(self._shipped) < len(self._in_flight):
            batch = self._in_flight[len(self._shipped)]
            answered = [self._answered(call) for call in batch.calls]  # each one, so that all that failed are retried
            if not all(answered):
                return
            self._pace.shipped(len(batch.items), batch.received_at)
            shipment = self._sink.ship(batch)
            self._shipped.append(shipment)
            shipment.on_last_ack(self._wake.set)

    def _settle(self) -> None:
        while self._shipped and self._shipped[0].settle():
            shipment = self._shipped.popleft()
            self._in_flight.popleft()
            for progress, offset in shipment.batch.last_offsets():
                progress.finish(offset)
            self._stats.sent(shipment.results, shipment.dead_letters, shipment.skipped, shipment.latencies_ms)

    def _answered(self, call: Call) -> bool:
        """Is the answer there? An infrastructure error is never a record's fault: it is asked again, for good."""
        if not call.future.done():
            return False
        error = call.future.exception()
        if error is None:
            return True
        if not isinstance(error, InferenceError):
            raise error
        if call.retry_at is None:
            pause_s = call.fail()
            log.error("no answer from model %s (%s); asking again in %.1f s", call.model, error, pause_s)
            self._stats.add(retries=1)
        elif time.monotonic() >= call.retry_at:
            call.resubmit()
            call.when_done(self._wake.set)
        return False


def _skipped_reasons(settings: PipelineSettings) -> frozenset[Reason]:
    skipped = {
        Reason.TOMBSTONE: settings.on_tombstone == "skip",
        Reason.EMPTY_TEXT: settings.on_empty_text == "skip",
    }
    return frozenset(reason for reason, skip in skipped.items() if skip)
