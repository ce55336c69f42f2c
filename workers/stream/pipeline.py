"""Pipeline: the loop that moves micro-batches from one consumer through the models to one producer.

One thread does all work in a loop: produce answered batches, poll acknowledgements, commit, poll, decode, submit.
docs/adr/0002-one-thread-a-worker.md has the reasons. Micro-batches are produced in the order of submission. At most
`max_in_flight` micro-batches and `limits.max_in_flight_bytes` are between poll and acknowledgement. With
`max_in_flight: auto`, the limit counts only micro-batches that wait for answers, because only these keep replicas busy.
"""

import threading
import time
from collections.abc import Callable, Mapping

from kafka.structs import TopicPartition

from labelstream.workers import failpoints
from labelstream.workers.classifier import Classifier
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.batch_factory import BatchFactory
from labelstream.workers.stream.call_retries import CallRetries
from labelstream.workers.stream.consumer.source import Polled, RecordSource
from labelstream.workers.stream.delivery.base import Delivery
from labelstream.workers.stream.flow_control.batch_sizer import BatchSizer
from labelstream.workers.stream.flow_control.circuit_breaker import CircuitBreaker
from labelstream.workers.stream.flow_control.failure_window import FailureRateWindow
from labelstream.workers.stream.flow_control.poll_budget import ByteBudget, PollBudget
from labelstream.workers.stream.flow_control.poll_timer import BUSY_WAIT_S, PollTimer
from labelstream.workers.stream.in_flight import InFlight
from labelstream.workers.stream.stats import Stats
from labelstream.workers.stream.supervision.pipeline_monitor import PipelineMonitor

POLL_MS = 100
FIRST_IN_FLIGHT = 4  # with `auto`, until the number of replicas is known
PRODUCE_S = 1.0  # limit of one turn: with one acknowledgement a record, a micro-batch takes many turns


class Pipeline:
    """One run; use from one thread. Does not close source, sink and classifiers.

    `monitor`: what the run waits for; `breaker`: this run's circuit breaker, with the counts of `failures`.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        source: RecordSource,
        delivery: Delivery,
        classifiers: Mapping[str, Classifier],
        stats: Stats,
        failures: FailureRateWindow | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._source, self._delivery, self._classifiers = settings, source, delivery, classifiers
        self._stats, self._clock = stats, clock
        first = FIRST_IN_FLIGHT if settings.max_in_flight == "auto" else settings.max_in_flight
        self._batch_sizer = BatchSizer(settings.max_poll_records, first, _in_flight_s(settings), clock)
        self._budget, self._poll_budget = ByteBudget(settings.limits.max_in_flight_bytes), PollBudget()
        self._poll_timer = PollTimer(clock)
        self._wake = threading.Event()
        self._factory = BatchFactory(settings, classifiers, self._wake.set, clock)
        self._in_flight, self._retries = InFlight(), CallRetries(stats, clock)
        delivery.wake_with(self._wake.set)
        failures = failures or FailureRateWindow(settings.breaker, clock)
        self.breaker = CircuitBreaker(settings.breaker, failures, classifiers, clock)
        self.monitor = PipelineMonitor(self._in_flight, self.breaker, self._retries, classifiers, delivery, clock)

    def set_target_in_flight(self, calls: int) -> None:
        """Set how many micro-batches keep the models' replicas busy. Has an effect only with `max_in_flight: auto`."""
        if self._settings.max_in_flight == "auto":
            self._batch_sizer.max_in_flight = max(1, min(self._settings.most_in_flight, calls))

    def run_once(self, accept: bool) -> None:
        """Run one turn of the loop; poll new records only with `accept`.

        Blocks for at most about 100 ms. Raises `StreamError`, or the exception of a bug; both end the run.
        """
        self._wake.clear()  # first: later wake-ups are for the next turn
        self._produce()
        self._poll_acks()
        if self._commit():
            self._submit(self._poll(accept))

    def drained(self) -> bool:
        """Is nothing in flight?"""
        return not self._in_flight

    def finished(self) -> bool:
        """Is nothing in flight, except micro-batches that the breaker holds?"""
        return self.drained() or (self.breaker.is_open and not self._in_flight.produced())

    def flush(self) -> bool:
        """Commit everything done. False while something is left: run the loop and call again."""
        return self._delivery.flush()

    def skip(self, partition: TopicPartition, offset: int) -> int | None:
        """Resume a halted partition at `offset`. Returns the number of skipped offsets.

        Returns None while earlier records are in flight or uncommitted: run the loop and call again. Raises
        `CommandRefused`.
        """
        progress = self._source.corrupt_skip.check(partition, offset)
        if any(progress is other for batch in self._in_flight for other, _ in batch.last_offsets) or not self.flush():
            return None
        return self._source.corrupt_skip.skip(progress, offset)

    def resume(self) -> int | None:
        """Resume after any pause, at an operator's command. Returns the messages held; None if not paused."""
        resumed = [classifier.resume() for classifier in self._classifiers.values()]
        held = self.breaker.resume()
        return 0 if held is None and any(resumed) else held

    def _poll(self, accept: bool) -> Polled:
        """Poll, or wait for answers. Waits for records if nothing is in flight; polls at once after full polls."""
        producing, timer = self._may_produce(), self._poll_timer
        if producing and self._clock() - timer.polled_at < PRODUCE_S:  # later, poll to stay in the group
            return []
        in_flight, unanswered = len(self._in_flight), self._in_flight.unanswered()
        bytes_ = self._in_flight.weight() + self._delivery.uncommitted_bytes()
        full = in_flight >= self._settings.most_in_flight or unanswered >= self._batch_sizer.max_in_flight
        full, self._poll_budget = full or self._budget.spent(bytes_), self._budget.next_poll(bytes_)
        paused = producing or not accept or full or self.monitor.paused()
        # A record that may kill the worker waits until nothing is in flight or uncommitted.
        paused = paused or (self._source.alone() and (in_flight > 0 or not self._delivery.flush()))
        wait_s = timer.wait_s(paused)
        if wait_s > 0 and (in_flight or paused) and not self._source.joining() and self._wake.wait(wait_s):
            if not self._may_produce():
                timer.skip_wait()
            return []
        limit = self._batch_sizer.next_size()
        polled = self._source.poll(POLL_MS if accept and not in_flight else 0, paused, limit, self._poll_budget)
        count = sum(len(records) for _, records in polled)
        timer.polled(count, full=paused or count >= limit or (count > 0 and self._poll_budget.full))
        return polled

    def _may_produce(self) -> bool:
        """Can `_produce` send something now?"""
        batch = self._in_flight.next_to_produce()
        return (
            batch is not None
            and batch is not self.breaker.held
            and batch.answered()
            and self._delivery.ready_for(batch)
        )

    def _commit(self) -> bool:
        """Commit if due. False if polling must wait: for batches to produce again, or for a handover."""
        aborted = self._delivery.commit_when_due()
        if aborted is not None:
            self._in_flight.produce_again(aborted)
            return False
        revoking_s = self._source.assignment.revoking_s()
        if revoking_s is not None and self._handing_over(revoking_s):
            self._wake.wait(BUSY_WAIT_S)  # no poll: the next poll gives the revoked partitions away
            return False
        return True

    def _handing_over(self, revoking_s: float) -> bool:
        """Are records of revoked partitions in flight, with time left to finish? Otherwise releases the partitions."""
        if revoking_s < self._settings.rebalance_drain_s:
            # The next owner repeats micro-batches that the breaker holds.
            moving = self._in_flight.produced() if self.breaker.is_open else self._in_flight
            if any(progress.revoking for batch in moving for progress, _ in batch.last_offsets):
                return True
            if not self._delivery.flush():
                return True
        self._source.partition_hold.release()
        return False

    def _submit(self, polled: Polled) -> None:
        if not polled:
            return
        failpoints.passed(failpoints.AFTER_POLL)
        batch = self._factory.decode_and_submit(polled, self._poll_timer.polled_at, self._poll_budget.taken)
        self._stats.received(batch.records_by_partition, batch.unknown_fields())
        self._budget.observe(self._poll_budget, batch.received_at - batch.polled_at)
        self._in_flight.submitted(batch)
        failpoints.passed(failpoints.MID_INFERENCE)

    def _produce(self) -> None:
        until = self._clock() + PRODUCE_S
        while (batch := self._in_flight.next_to_produce()) is not None and self._clock() < until:
            answered = [self._retries.answered(call) for call in batch.calls]  # no `all(..)`: retry each failed call
            if not all(answered):
                return
            batch.resolve()
            if batch is not self.breaker.held and not batch.passed_breaker:
                self.monitor.answered()
                self._batch_sizer.answered(len(batch.items), max(batch.received_at, self.breaker.closed_at))
            if not self.breaker.passes(batch):
                return
            if (suspects := self._source.partition_hold.suspects).is_waiting:
                suspects.go_on()
            produced = self._delivery.produce(batch)
            if produced is None:
                return
            produced.on_last_ack(self._wake.set)
            self._in_flight.was_produced(produced)
            failpoints.passed(failpoints.AFTER_SEND)

    def _poll_acks(self) -> None:
        try:
            for produced in self._in_flight.acknowledged():
                self._delivery.acknowledged(produced)
        except RecordRefused as error:
            self._delivery.refused(error)
        except StreamError as error:
            self._delivery.failed(error)


def _in_flight_s(settings: PipelineSettings) -> float:
    """Time limit in seconds for all records in flight, so that a stop or rebalance can finish them."""
    rebalance_s = settings.rebalance_drain_s or float("inf")  # 0: a rebalance waits for nothing
    return min(settings.drain_timeout_s / 2, 0.8 * rebalance_s)
