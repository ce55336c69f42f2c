"""Pipeline monitor: what a run waits for, and for how long."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

from labelstream.workers.classifier import Classifier
from labelstream.workers.stream.call_retries import CallRetries
from labelstream.workers.stream.delivery.base import Delivery
from labelstream.workers.stream.flow_control.circuit_breaker import CircuitBreaker
from labelstream.workers.stream.in_flight import InFlight
from labelstream.workers.stream.micro_batch import MicroBatch


class PipelineMonitor:
    """Reads the state of one run. Any thread may call `oldest_s`, `paused` and `in_flight`."""

    def __init__(
        self,
        in_flight: InFlight,
        breaker: CircuitBreaker,
        retries: CallRetries,
        classifiers: Mapping[str, Classifier],
        delivery: Delivery,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._in_flight, self._retries, self._classifiers, self._delivery = in_flight, retries, classifiers, delivery
        self.breaker, self._clock = breaker, clock
        self._answered_at = clock()

    def answered(self) -> None:
        """Record that the next micro-batch has all its answers."""
        self._answered_at = self._clock()

    def oldest_s(self) -> float:
        """Seconds since the oldest unanswered micro-batch made progress; 0 if there is none, or while paused.

        A failed call counts as progress: a restart cannot repair a model. Unacknowledged records do not count: a
        restart would only send them again.
        """
        oldest = next((batch for batch in self._in_flight if not batch.answered()), None)
        return 0.0 if oldest is None or self.paused() else self._silent_s(oldest, self._retries.failed_at)

    def awaited(self) -> dict[str, float]:
        """Seconds waited for acknowledgements ("topic NAME") and answers ("model NAME"), by these names."""
        awaited: dict[str, float] = {}
        if (produced := self._in_flight.oldest_produced()) and (topic := produced.unacknowledged_topic()):
            awaited[f"topic {topic}"] = self._clock() - produced.sent_at
        if not self.paused() and (batch := self._in_flight.next_to_produce()) is not None:
            silent_s = self._silent_s(batch, self._answered_at)
            awaited |= {f"model {call.model}": silent_s for call in batch.calls if not call.answered()}
        return awaited

    def obstacles(self) -> dict[str, str]:
        """See `Delivery.obstacles`."""
        return self._delivery.obstacles()

    def troubles(self) -> dict[str, str]:
        """Why a model must get no more calls now, by its name; polls are paused meanwhile."""
        return {name: text for name, classifier in self._classifiers.items() if (text := classifier.trouble())}

    def paused(self) -> bool:
        """Is the pipeline paused until a repair or an operator's resume?"""
        return self.breaker.held is not None or any(classifier.trouble() for classifier in self._classifiers.values())

    def in_flight(self) -> Counter[str]:
        """Messages between poll and acknowledgement, by partition."""
        return self._in_flight.records_by_partition()

    def _silent_s(self, batch: MicroBatch, otherwise_at: float) -> float:
        """Seconds since `batch` was submitted or partly answered, the breaker closed, or `otherwise_at`."""
        progressed_at = max((call.progressed_at for call in batch.calls), default=-math.inf)
        return self._clock() - max(batch.received_at, self.breaker.closed_at, otherwise_at, progressed_at)
