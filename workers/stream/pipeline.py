"""The way of the data through one worker, from one consumer to one producer, for as long as both live.

One thread does all of it, turn by turn: produce what is answered, poll acknowledgements, commit, poll, decode,
submit. A second thread for producing gained nothing under the GIL. Micro-batches are produced in the order of their
submission; at most `max_in_flight` of them, and `limits.max_in_flight_bytes`, are anywhere between poll and
acknowledgement. With `auto` as many wait for answers as keep the models' replicas busy: those that are answered, and
wait for their turn behind one that is not, keep no replica busy.
"""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Mapping

from kafka.structs import TopicPartition

from labelstream.schemas.dead_letter import Reason
from labelstream.workers import failpoints, tracing
from labelstream.workers.classifier import Classifier
from labelstream.workers.errors import InferenceError, RecordRefused, StreamError
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.consumer.source import Polled, RecordSource
from labelstream.workers.stream.delivery.base import Delivery
from labelstream.workers.stream.flow_control.batch_sizer import BatchSizer
from labelstream.workers.stream.flow_control.circuit_breaker import CircuitBreaker
from labelstream.workers.stream.flow_control.failure_window import FailureRateWindow
from labelstream.workers.stream.flow_control.poll_budget import Budget, PollBudget
from labelstream.workers.stream.flow_control.poll_timer import BUSY_WAIT_S, PollTimer
from labelstream.workers.stream.in_flight import InFlight
from labelstream.workers.stream.micro_batch import MicroBatch, ModelCall, make_calls, make_items
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)
POLL_MS = 100
FIRST_IN_FLIGHT = 4  # of `auto`, until it is known how many replicas there are
PRODUCE_S = 1.0  # of one turn: where each record waits for its acknowledgement, a micro-batch takes many turns


class Pipeline:
    """One run. Neither source nor sink nor classifiers are closed here. One calling thread, but for the numbers."""

    def __init__(
        self,
        settings: PipelineSettings,
        source: RecordSource,
        delivery: Delivery,
        classifiers: Mapping[str, Classifier],
        stats: Stats,
        breaker: FailureRateWindow | None = None,
    ) -> None:
        self._settings, self._source, self._delivery, self._classifiers = settings, source, delivery, classifiers
        self._stats = stats
        self.breaker = CircuitBreaker(settings.breaker, breaker or FailureRateWindow(settings.breaker), classifiers)
        first = FIRST_IN_FLIGHT if settings.max_in_flight == "auto" else settings.max_in_flight
        self._batch_sizer = BatchSizer(settings.max_poll_records, first, _in_flight_s(settings))
        self._budget, self._room = Budget(settings.limits.max_in_flight_bytes), PollBudget()
        self._decode = decoder(settings)
        self._skipped_reasons = _skipped_reasons(settings)
        self._in_flight = InFlight()
        self._poll_timer = PollTimer()
        self._wake = threading.Event()
        delivery.wake_with(self._wake.set)
        self._answered_at = self._failed_at = time.monotonic()

    def set_target_in_flight(self, calls: int) -> None:
        """So many micro-batches at the models keep their replicas busy. Has no effect but with `auto`."""
        if self._settings.max_in_flight == "auto":
            self._batch_sizer.max_in_flight = max(1, min(self._settings.most_in_flight, calls))

    def run_once(self, accept: bool) -> None:
        """One turn of the loop; with `accept` it takes in what there is room for.

        Blocks for at most about 100 ms. Raises what stops the stream: `StreamError` or a bug's own exception.
        """
        self._wake.clear()  # first: what wakes us from here on is for the next turn
        self._produce()
        self._poll_acks()
        if self._commit():
            self._submit(self._poll(accept))

    def drained(self) -> bool:
        """Is nothing in flight?"""
        return not self._in_flight

    def finished(self) -> bool:
        """Is nothing in flight but what the breaker holds back?"""
        return self.drained() or (self.breaker.held is not None and not self._in_flight.produced())

    def flush(self) -> bool:
        """Commit what is done. False as long as something is left: turn, and call again."""
        return self._delivery.flush()

    def skip(self, partition: TopicPartition, offset: int) -> int | None:
        """Let a halted partition go on at `offset`. How many offsets are left out.

        None as long as something before them is in flight or not committed: turn, and call again. Raises
        `CommandRefused` with the reason why not.
        """
        progress = self._source.to_be_skipped(partition, offset)
        if any(progress is other for batch in self._in_flight for other, _ in batch.last_offsets) or not self.flush():
            return None
        return self._source.skip(progress, offset)

    def oldest_s(self) -> float:
        """How long the oldest micro-batch without an answer has had none, in seconds; 0 without any, or while paused.

        A refusal is an answer as well: a model that is away, or dies of a record, is not cured by another worker. Nor
        is a topic that takes nothing: another worker would only send what it has taken a second time.
        """
        oldest = next((batch for batch in self._in_flight if not batch.answered()), None)
        if oldest is None or self.paused():
            return 0.0
        return time.monotonic() - max(self._since(oldest), self._failed_at, self._progressed_at(oldest))

    def awaited(self) -> dict[str, float]:
        """Who owes us what: "topic NAME" an acknowledgement, "model NAME" an answer; each for how many seconds."""
        now, awaited = time.monotonic(), {}
        if (produced := self._in_flight.oldest_produced()) and (topic := produced.unacknowledged_topic()):
            awaited[f"topic {topic}"] = now - produced.sent_at
        if not self.paused() and (batch := self._in_flight.next_to_produce()) is not None:
            silent_s = now - max(self._since(batch), self._answered_at, self._progressed_at(batch))
            awaited |= {f"model {call.model}": silent_s for call in batch.calls if not call.answered()}
        return awaited

    def obstacles(self) -> dict[str, str]:
        """See `Delivery.obstacles`."""
        return self._delivery.obstacles()

    def troubles(self) -> dict[str, str]:
        """Why a model should be given nothing more now, by its name; nothing is polled for so long."""
        return {name: text for name, classifier in self._classifiers.items() if (text := classifier.trouble())}

    def paused(self) -> bool:
        """Until something is repaired, or an operator has a word."""
        return self.breaker.held is not None or bool(self.troubles())

    def resume(self) -> int | None:
        """An operator's word: whatever it is paused for, it goes on. How many messages were held; None: no pause."""
        resumed = [classifier.resume() for classifier in self._classifiers.values()]
        held = self.breaker.resume()
        return 0 if held is None and any(resumed) else held

    def in_flight(self) -> Counter[int]:
        """Messages between poll and acknowledgement, by partition."""
        return self._in_flight.records_by_partition()

    def _poll(self, accept: bool) -> Polled:
        """Waits for records when nothing is in flight, else for answers; not at all while polls bring all they may.

        First goes what is there to be sent, then its acknowledgement, then the next poll.
        """
        producing, timer = self._may_produce(), self._poll_timer
        if producing and time.monotonic() - timer.polled_at < PRODUCE_S:  # then a poll keeps the membership alive
            return []
        paused = producing or not accept or self._full() or self.paused() or not self._may_read()
        wait_s = timer.wait_s(paused)
        if wait_s > 0 and (self._in_flight or paused) and not self._source.joining() and self._wake.wait(wait_s):
            if not self._may_produce():
                timer.skip_wait()
            return []
        waits = accept and not self._in_flight
        limit = self._batch_sizer.next_size()
        self._room = self._budget.room(self._bytes())
        polled = self._source.poll(POLL_MS if waits else 0, paused, limit, self._room)
        count = sum(len(records) for _, records in polled)
        timer.polled(count, full=paused or count >= limit or (count > 0 and self._room.full))
        return polled

    def _may_read(self) -> bool:
        """What may kill the worker comes alone: with nothing in flight, and all that is done committed."""
        return not self._source.alone() or (not self._in_flight and self._delivery.flush())

    def _may_produce(self) -> bool:
        """Would `_produce` send something now?"""
        batch = self._in_flight.next_to_produce()
        return (
            batch is not None
            and batch is not self.breaker.held
            and batch.answered()
            and self._delivery.ready_for(batch)
        )

    def _full(self) -> bool:
        if len(self._in_flight) >= self._settings.most_in_flight or self._budget.spent(self._bytes()):
            return True
        return self._in_flight.unanswered() >= self._batch_sizer.max_in_flight

    def _bytes(self) -> int:
        """What records between poll and acknowledgement, or commit, weigh."""
        return self._in_flight.weight() + self._delivery.uncommitted_bytes()

    def _since(self, batch: MicroBatch) -> float:
        """Since when it could have been under way."""
        return max(batch.received_at, self.breaker.released_at)

    @staticmethod
    def _progressed_at(batch: MicroBatch) -> float:
        return max((call.progressed_at for call in batch.calls), default=-math.inf)

    def _commit(self) -> bool:
        """Commit when it is time. False where nothing may be polled: something goes again first, or is handed over."""
        aborted = self._delivery.commit_when_due()
        if aborted is not None:
            self._in_flight.produce_again(aborted)
            return False
        if self._handing_over():
            self._wake.wait(BUSY_WAIT_S)  # no poll: with the next one the group takes the partitions
            return False
        return True

    def _handing_over(self) -> bool:
        """Is there still something of leaving partitions to finish, and time for it? Lets go of them otherwise."""
        leaving_s = self._source.assignment.leaving_s()
        if leaving_s is None:
            return False
        if leaving_s < self._settings.rebalance_drain_s:
            # What the breaker holds back is the next owner's.
            moving = self._in_flight if self.breaker.held is None else self._in_flight.produced()
            if any(progress.leaving for batch in moving for progress, _ in batch.last_offsets):
                return True
            if not self._delivery.flush():
                return True
        self._source.beginning.let_go()
        return False

    def _submit(self, polled: Polled) -> None:
        if not polled:
            return
        failpoints.passed(failpoints.AFTER_POLL)
        settings = self._settings
        items = [
            item
            for progress, records in polled
            for item in make_items(records, progress, self._decode, settings.model, self._skipped_reasons)
        ]
        last_offsets = [(progress, records[-1].offset) for progress, records in polled]
        records_by_partition = Counter({progress.partition.partition: len(records) for progress, records in polled})
        headers = (record.headers for _, records in polled for record in records)
        span = tracing.micro_batch(settings.input, headers, len(items))
        with tracing.within(span):
            calls = make_calls(items, self._classifiers)
        batch = MicroBatch(
            items, calls, last_offsets, records_by_partition, self._poll_timer.polled_at, span, self._room.taken
        )
        self._budget.turned(self._room, batch.received_at - batch.polled_at)
        for call in batch.calls:
            call.when_done(self._wake.set)
        unknown = sum(len(item.message.model_extra or ()) for item in items if item.message is not None)
        self._stats.received(batch.records_by_partition, unknown)
        self._in_flight.submitted(batch)
        failpoints.passed(failpoints.MID_INFERENCE)

    def _produce(self) -> None:
        until = time.monotonic() + PRODUCE_S
        while (batch := self._in_flight.next_to_produce()) is not None and time.monotonic() < until:
            answered = [self._answered(call) for call in batch.calls]  # each one, so that all that failed are retried
            if not all(answered):
                return
            if not self._delivery.ready_for(batch):
                return
            batch.note_answered()
            if batch is not self.breaker.held and not batch.passed_breaker:
                self._answered_at = time.monotonic()
                self._batch_sizer.answered(len(batch.items), self._since(batch))
            if not self.breaker.passes(batch):
                return
            self._source.beginning.caution.go_on()
            produced = self._delivery.produce(batch)
            self._in_flight.was_produced(produced)
            produced.on_last_ack(self._wake.set)
            failpoints.passed(failpoints.AFTER_SEND)

    def _poll_acks(self) -> None:
        try:
            while (produced := self._in_flight.take_acknowledged()) is not None:
                self._delivery.acknowledged(produced)
        except RecordRefused as error:
            self._delivery.refused(error)
        except StreamError as error:
            self._delivery.failed(error)

    def _answered(self, call: ModelCall) -> bool:
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
            self._failed_at = time.monotonic()
            logger.error("no answer from model %s (%s); asking again in %.1f s", call.model, error, pause_s)
            self._stats.retried(call.model)
        elif time.monotonic() >= call.retry_at:
            call.resubmit()
            call.when_done(self._wake.set)
        return False


def _in_flight_s(settings: PipelineSettings) -> float:
    """What all in flight may take, so that a stop and an orderly rebalance have time for it."""
    rebalance_s = settings.rebalance_drain_s or float("inf")  # 0: nobody waits for it
    return min(settings.drain_timeout_s / 2, 0.8 * rebalance_s)


def _skipped_reasons(settings: PipelineSettings) -> frozenset[Reason]:
    skipped = {
        Reason.TOMBSTONE: settings.on_tombstone == "skip",
        Reason.EMPTY_TEXT: settings.on_empty_text == "skip",
    }
    return frozenset(reason for reason, skip in skipped.items() if skip)
