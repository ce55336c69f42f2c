"""The way of the data through one worker, from one consumer to one producer, for as long as both live.

Two threads, each doing one thing: the loop polls, decodes and submits, settles and commits; the shipper takes
micro-batches in the order of their submission, waits for their answers and sends them. Between them one bounded
FIFO: at most `max_in_flight` micro-batches are anywhere between poll and acknowledgement.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, wait

from schemas.dead_letter import Reason
from workers.classifier import Classifier
from workers.errors import InferenceError
from workers.settings import PipelineSettings
from workers.stream.batch import Call, MicroBatch, make_calls, make_items
from workers.stream.decode import decoder
from workers.stream.sink import ResultSink, Shipment
from workers.stream.source import Polled, RecordSource
from workers.stream.stats import Stats

log = logging.getLogger(__name__)
POLL_MS = 100
WAKE_S = 0.05
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 15.0


class Pipeline:
    """One run. Neither source nor sink nor classifiers are closed here."""

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
        self._decode = decoder(settings)
        self._skipped_reasons = _skipped_reasons(settings)
        self._submitted: queue.SimpleQueue[MicroBatch | None] = queue.SimpleQueue()
        self._shipped: deque[Shipment] = deque()
        self._in_flight: deque[MicroBatch] = deque()
        self._wake = threading.Event()
        self._abandon = threading.Event()
        self._failure: BaseException | None = None
        self._shipper = threading.Thread(target=self._ship_all, name="shipper", daemon=True)
        self._next_commit = time.monotonic()
        self._shipper.start()

    def turn(self, accept: bool) -> None:
        """One turn of the loop: take in what there is room for (with `accept`), settle, commit when it is time.

        Blocks for at most about 100 ms. Raises what stops the stream: `StreamError` or a bug's own exception.
        """
        paused = not accept or len(self._in_flight) >= self._settings.max_in_flight
        if paused and not self._source.joining():
            self._wake.wait(WAKE_S)
            self._wake.clear()
        polled = self._source.poll(timeout_ms=0 if paused else POLL_MS, paused=paused)
        if polled:
            self._submit(polled)
        self._settle()
        if self._failure is not None:
            raise self._failure
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

    def close(self) -> None:
        """End the shipper; what is in flight is abandoned, never committed."""
        self._abandon.set()
        self._submitted.put(None)
        self._shipper.join()

    def _submit(self, polled: Polled) -> None:
        settings = self._settings
        items = [
            item
            for progress, records in polled
            for item in make_items(records, progress, self._decode, settings.model, self._skipped_reasons)
        ]
        batch = MicroBatch(items, make_calls(items, self._classifiers))
        unknown = sum(len(item.message.model_extra or ()) for item in items if item.message is not None)
        self._stats.add(messages_in=len(items), unknown_fields=unknown)
        self._in_flight.append(batch)
        self._submitted.put(batch)

    def _settle(self) -> None:
        while self._shipped and self._shipped[0].settle():
            shipment = self._shipped.popleft()
            self._in_flight.popleft()
            for progress, offset in shipment.batch.last_offsets():
                progress.finish(offset)
            self._stats.sent(shipment.results, shipment.dead_letters, shipment.skipped, shipment.latencies_ms)

    def _ship_all(self) -> None:
        try:
            while (batch := self._submitted.get()) is not None and self._answered(batch):
                shipment = self._sink.ship(batch)
                self._shipped.append(shipment)
                shipment.on_last_ack(self._wake.set)
        except BaseException as error:  # handed to the loop, which stops the stream
            self._failure = error
            self._wake.set()

    def _answered(self, batch: MicroBatch) -> bool:
        """Wait until every call has its answer, asking again for as long as it takes. False when abandoned."""
        pause_s = RETRY_FIRST_S
        for call in batch.calls:
            while not self._abandon.is_set():
                if not wait([call.future], timeout=WAKE_S * 4, return_when=FIRST_COMPLETED).done:
                    continue
                error = call.future.exception()
                if error is None:
                    break
                if not isinstance(error, InferenceError):
                    raise error
                self._again(call, error, pause_s)
                pause_s = min(pause_s * 2, RETRY_MOST_S)
        return not self._abandon.is_set()

    def _again(self, call: Call, error: InferenceError, pause_s: float) -> None:
        """An infrastructure error is never a record's fault: the stream waits for the model to come back."""
        log.error("no answer from model %s (%s); asking again in %.1f s", call.model, error, pause_s)
        self._stats.add(retries=1)
        if not self._abandon.wait(pause_s):
            call.resubmit()


def _skipped_reasons(settings: PipelineSettings) -> frozenset[Reason]:
    skipped = {
        Reason.TOMBSTONE: settings.on_tombstone == "skip",
        Reason.EMPTY_TEXT: settings.on_empty_text == "skip",
    }
    return frozenset(reason for reason, skip in skipped.items() if skip)
