"""Micro-batch: the records of one poll, with their model calls, answers and outcomes."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from kafka.consumer.fetcher import ConsumerRecord
from opentelemetry.trace import INVALID_SPAN, Span

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Answer, RecordError, Request
from labelstream.workers.stream.codec.encoding.producer_record import Encoded
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.text_list import FailedTexts, TextAnswers, joined_outcome, rejections
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.model_call import ModelCall
from labelstream.workers.stream.record_batch.limits import weight

Outcome = Answer | Rejection | TextAnswers | FailedTexts
_FAILED = (Rejection, RecordError, FailedTexts)


class Item(NamedTuple):
    """One record with `message` (to classify with `model`) or `rejection`; a skipped record has neither.

    `request`: what the message asks of its model. `skipped`: why the record is skipped, `passes`: it goes to the output
    unchanged.
    """

    record: ConsumerRecord
    progress: PartitionProgress
    message: TextMessage | None = None
    model: str = ""
    rejection: Rejection | None = None
    passes: bool = False
    skipped: str = ""
    request: Request | None = None


class MicroBatch:
    """Items in input order, their calls, and the offsets that are done when all records are sent.

    `last_offsets`: offset of the last record in each partition; `records_by_partition`: number by TOPIC:PARTITION.
    `polled_at`, `answered_at`: monotonic seconds; infinite before `resolve`. `span`: ends when the micro-batch is
    acknowledged or committed. `weight`: bytes of all records. `passed_breaker`: may be produced, whatever the breaker
    says later. `encoded`: records to produce, if known. `text_rows`: for each item with several texts, the rows of
    their outcomes, which follow the rows of the items.

    `outcomes`: after `resolve`, the outcome of each item in order, None for skipped ones.
    """

    def __init__(
        self,
        items: list[Item],
        calls: list[ModelCall],
        last_offsets: list[tuple[PartitionProgress, int]],
        records_by_partition: Counter[str],
        polled_at: float,
        span: Span = INVALID_SPAN,
        weight: int = 0,
        clock: Callable[[], float] = time.monotonic,
        text_rows: Mapping[int, range] = MappingProxyType({}),
    ) -> None:
        self.items, self.calls, self.last_offsets, self.text_rows = items, calls, last_offsets, text_rows
        self.records_by_partition, self.weight, self.span, self._clock = records_by_partition, weight, span, clock
        self.polled_at, self.received_at, self.answered_at = polled_at, clock(), math.inf
        self.passed_breaker = False
        self.outcomes: list[Outcome | None] = []
        self.encoded: list[Encoded | None] = []

    def answered(self) -> bool:
        """Are all calls answered?"""
        return all(call.answered() for call in self.calls)

    def split(self, count: int) -> tuple["MicroBatch", "MicroBatch"]:
        """The first `count` items as a micro-batch, and the rest. All calls must be answered.

        The rest keeps the span, because it is sent last.
        """
        taken = sum(weight(item.record) for item in self.items[:count])
        return (
            self._part(slice(count), INVALID_SPAN, taken),
            self._part(slice(count, None), self.span, self.weight - taken),
        )

    def _part(self, rows: slice, span: Span, weight: int) -> "MicroBatch":
        items, partitions = self.items[rows], {progress.partition for progress, _ in self.last_offsets}
        last = {item.progress.partition: (item.progress, item.record.offset) for item in items}
        last_offsets = [end for partition, end in last.items() if partition in partitions]
        records_by_partition = Counter(item.progress.name for item in items)
        part = MicroBatch(items, [], last_offsets, records_by_partition, self.polled_at, span, weight, self._clock)
        part.received_at, part.answered_at = self.received_at, self.answered_at
        part.passed_breaker, part.outcomes = self.passed_breaker, self.outcomes[rows]
        part.encoded = self.encoded[rows]
        return part

    def resolve(self) -> None:
        """Take the answers of all calls, and note the time of the last one. Call when all are there.

        Once is enough; repeated calls change nothing. Raises InferenceError if a call failed, ValueError if a call has
        not one answer for each request: shifted answers would be wrong labels.
        """
        if self.answered_at == math.inf:
            now = self._clock()
            done = (now if call.done_at is None else call.done_at for call in self.calls)
            self.answered_at = max([self.received_at, *done])
            self._take_answers()

    def _take_answers(self) -> None:
        outcomes: list[Any] = [item.rejection for item in self.items]
        for row in self.text_rows:
            outcomes += rejections(self.items[row].message)
        for call in self.calls:
            for row, answer in zip(call.rows, call.future.result(), strict=True):
                outcomes[row] = answer
        for row, rows in self.text_rows.items():
            outcomes[row] = joined_outcome(outcomes[rows.start : rows.stop])
        del outcomes[len(self.items) :]
        self.outcomes, self.encoded = outcomes, []

    def repair(self, calls: list[ModelCall]) -> None:
        """Replace the calls by answered ones; answers of later calls in `calls` overwrite earlier ones."""
        self.calls = calls
        self._take_answers()

    def has_dead_letters(self) -> bool:
        """Does any item of an unrevoked partition become a dead letter, by decoding or the model's answer?

        All calls must be answered.
        """
        self.resolve()
        return any(
            isinstance(outcome, _FAILED) and not item.progress.revoked
            for item, outcome in zip(self.items, self.outcomes, strict=True)
        )

    def unknown_fields(self) -> int:
        """Number of unknown fields in all messages."""
        return sum(len(item.message.model_extra or ()) for item in self.items if item.message is not None)


def refused(error: RecordError, model: str) -> Rejection:
    """The rejection for a classifier's RecordError."""
    return Rejection(Reason(error.fault), Stage.CLASSIFY, error.fault.name, error.message, error.attempts, model)
