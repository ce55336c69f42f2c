"""One poll's records on their way: decoded, submitted, answered, sent, acknowledged."""

import math
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import NamedTuple
from weakref import ref

from kafka.consumer.fetcher import ConsumerRecord
from opentelemetry.trace import INVALID_SPAN, Span

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import MODEL_FAULTS, Answer, Classifier, Progress, RecordError, Request
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.flow_control.backoff import Backoff
from labelstream.workers.stream.record_batch.limits import weight
from labelstream.workers.stream.stats import Stages

Outcome = Answer | Rejection
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 15.0


class Item(NamedTuple):
    """One record: either `message` (to classify by `model`) or `rejection`; neither for a skipped one."""

    record: ConsumerRecord
    progress: PartitionProgress
    message: TextMessage | None = None
    model: str = ""
    rejection: Rejection | None = None


class ModelCall:
    """The requests of one model in a micro-batch, and the answer that is awaited for them.

    In monotonic seconds: `retry_at` is set between a failure, which was not the records', and the next attempt;
    `done_at` when this attempt ends, a moment after its future says so, where `when_done` was called for it.
    """

    def __init__(
        self,
        model: str,
        rows: list[int],
        requests: list[Request],
        classifier: Classifier,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model, self.rows, self.requests, self._classifier, self._clock = model, rows, requests, classifier, clock
        self._context = copy_context()  # whose span the next attempts belong to as well
        self._progress = Progress()
        self.future: Future[list[Answer]] = classifier.submit(requests, self._progress)
        self.retry_at: float | None = None
        self.done_at: float | None = None
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_MAX_S)

    def when_done(self, wake: Callable[[], None]) -> None:
        """Call `wake` when this attempt has ended, from whatever thread."""
        found = ref(self)  # a future keeps its callbacks: with a call in one, both would wait for the garbage collector

        def done(_: object) -> None:
            if (call := found()) is not None:
                call._done(wake)

        self.future.add_done_callback(done)

    def answered(self) -> bool:
        """Is there an answer, and not only the end of an attempt?"""
        return self.future.done() and self.future.exception() is None

    @property
    def progressed_at(self) -> float:
        """Monotonic seconds when the model last answered a part of it; -inf before."""
        return self._progress.at

    def fail(self) -> float:
        """This attempt has failed: the seconds until the next one, twice as many each time."""
        pause_s = self._backoff.next_s()
        self.retry_at = self._clock() + pause_s
        return pause_s

    def resubmit(self) -> None:
        """The next attempt. What was answered in earlier ones is not asked for again."""
        self.retry_at = self.done_at = None
        self.future = self._context.run(self._classifier.submit, self.requests, self._progress)

    def _done(self, wake: Callable[[], None]) -> None:
        self.done_at = self._clock()
        wake()


class MicroBatch:
    """Items in the order of their input, their calls, and how far each partition is done when all is sent.

    `last_offsets`: each partition in it with the offset of its last record; `records_by_partition`: how many there are.
    `polled_at`: monotonic seconds, as `answered_at`, which is infinite until `note_answered`. `span`: ends when all of
    it is acknowledged, or committed. `weight`: of all its records. `passed_breaker`: it may be sent, for good.
    `values`: of its results, where these are encoded already.
    """

    def __init__(
        self,
        items: list[Item],
        calls: list[ModelCall],
        last_offsets: list[tuple[PartitionProgress, int]],
        records_by_partition: Counter[int],
        polled_at: float,
        span: Span = INVALID_SPAN,
        weight: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.items, self.calls, self.last_offsets = items, calls, last_offsets
        self.records_by_partition, self.weight, self.span, self._clock = records_by_partition, weight, span, clock
        self.polled_at, self.received_at, self.answered_at = polled_at, clock(), math.inf
        self.passed_breaker = False
        self._outcomes: list[Outcome | None] | None = None
        self.values: list[bytes | None] = []

    def answered(self) -> bool:
        """Are all answers there?"""
        return all(call.answered() for call in self.calls)

    def split(self, count: int) -> tuple["MicroBatch", "MicroBatch"]:
        """The first `count` items as a micro-batch of its own, and the rest. All answers must be there.

        The span goes with the rest: what is sent last ends it.
        """
        outcomes, taken = self.resolve(), sum(weight(item.record) for item in self.items[:count])
        return (
            self._part(self.items[:count], outcomes[:count], INVALID_SPAN, taken),
            self._part(self.items[count:], outcomes[count:], self.span, self.weight - taken),
        )

    def _part(self, items: list[Item], outcomes: list[Outcome | None], span: Span, weight: int) -> "MicroBatch":
        mine = {progress.partition for progress, _ in self.last_offsets}
        last = {item.progress.partition: (item.progress, item.record.offset) for item in items}
        last_offsets = [end for partition, end in last.items() if partition in mine]
        records_by_partition = Counter(item.record.partition for item in items)
        part = MicroBatch(items, [], last_offsets, records_by_partition, self.polled_at, span, weight, self._clock)
        part.received_at, part.answered_at = self.received_at, self.answered_at
        part.passed_breaker, part._outcomes = self.passed_breaker, outcomes
        return part

    def resolve(self) -> list[Outcome | None]:
        """What each item became, in order; None for a skipped one. All futures must be done. Computed once.

        Raises InferenceError when a call failed, ValueError when a call's answer has another length than its
        requests: a shifted answer would be a wrong label.
        """
        if self._outcomes is None:
            outcomes: list[Outcome | None] = [item.rejection for item in self.items]
            for call in self.calls:
                for row, answer in zip(call.rows, call.future.result(), strict=True):
                    outcomes[row] = answer
            self._outcomes = outcomes
        return self._outcomes

    def ask_again(self, calls: list[ModelCall]) -> None:
        """`calls` in place of those before: a later answer goes over an earlier one."""
        self.calls, self._outcomes = calls, None

    def unknown_fields(self) -> int:
        """How many fields of its messages nobody knows."""
        return sum(len(item.message.model_extra or ()) for item in self.items if item.message is not None)

    def has_dead_letters(self) -> bool:
        """Does any item that is still ours become a dead letter, as far as decoding and models tell?"""
        return any(
            isinstance(outcome, Rejection | RecordError) and not item.progress.revoked
            for item, outcome in zip(self.items, self.resolve(), strict=True)
        )

    def note_answered(self) -> None:
        """All answers are there; when the last one came is noted the first time: the breaker may ask again."""
        if self.answered_at == math.inf:
            now = self._clock()
            done = (now if call.done_at is None else call.done_at for call in self.calls)
            self.answered_at = max([self.received_at, *done])

    def stages(self, sent_at: float, acknowledged_at: float) -> Stages:
        """How long each part of its way took; both in monotonic seconds, and after `note_answered`."""
        return Stages(
            self.received_at - self.polled_at,
            self.answered_at - self.received_at,
            sent_at - self.answered_at,
            acknowledged_at - sent_at,
        )


def model_failures(batch: MicroBatch) -> tuple[int, Counter[str]]:
    """How many messages of an answered micro-batch are the models' to answer, and those that they fail, by reason.

    What is wrong with a message itself is no model's fault. Messages of partitions that were taken away do not count.
    """
    answers = [
        answer
        for item, answer in zip(batch.items, batch.resolve(), strict=True)
        if item.message is not None and not item.progress.revoked
    ]
    refused = Counter(answer.fault for answer in answers if isinstance(answer, RecordError))
    failed = Counter({fault.value: count for fault, count in refused.items() if fault in MODEL_FAULTS})
    return len(answers) - refused.total() + failed.total(), failed


def refused(error: RecordError, model: str) -> Rejection:
    """A classifier's refusal as a rejection."""
    return Rejection(Reason(error.fault), Stage.CLASSIFY, error.fault.name, error.message, error.attempts, model)
