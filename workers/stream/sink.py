"""Results and dead letters out, and knowing when the broker has them.

`ResultSink.ship` sends what one micro-batch became. The `Shipment` it returns is settled when the broker has
acknowledged every record of it; only then may offsets advance.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from schemas.dead_letter import Reason
from workers.classifier import Answered, Prediction, RecordError
from workers.errors import Fenced, RecordRefused, StreamError
from workers.settings import PipelineSettings
from workers.stream.batch import Item, MicroBatch, Outcome, refused
from workers.stream.bulk import Acknowledgement
from workers.stream.encode import Outgoing, encode_dead_letter, encode_result, result_headers, too_large
from workers.stream.producers import FENCED, Producer
from workers.stream.rejection import Rejection
from workers.stream.stats import ABSTAINED, OTHER, Tally
from workers.stream.topics import TopicLimits

log = logging.getLogger(__name__)
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Shipment:
    """What one micro-batch sent: an acknowledgement to come for each record, in the order of sending."""

    def __init__(self, batch: MicroBatch) -> None:
        self.batch = batch
        self.tally = Tally()
        self.first_dead: dict[tuple[int, str], int] = {}
        self.sent_at = time.monotonic()
        self._acks: list[tuple[str, Acknowledgement]] = []
        self._settled = 0

    def expect(self, topic: str, acks: Iterable[Acknowledgement]) -> None:
        self._acks += [(topic, ack) for ack in acks]

    def awaited(self) -> str | None:
        """The topic of the first record that is not acknowledged; None when all are."""
        return next((topic for topic, ack in self._acks[self._settled :] if not ack.is_done), None)

    def on_last_ack(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the last record's acknowledgement is there; others may still be missing."""
        if self._acks:
            self._acks[-1][1].add_both(lambda _: wake())
        else:
            wake()

    def settle(self) -> bool:
        """Is every record acknowledged? Never blocks.

        Raises `RecordRefused` when the broker found a record too large, `Fenced` or `StreamError` for any other
        refusal: nothing of this shipment may be committed then.
        """
        while self._settled < len(self._acks):
            _, ack = self._acks[self._settled]
            if not ack.is_done:
                return False
            if ack.failed():
                raise _refusal("a record was not acknowledged", ack.exception)
            self._settled += 1
        return True


class ResultSink:
    """Owns `producer`. Used by one thread.

    `careful`: so many micro-batches are sent record by record, each acknowledged before the next. A producer is beyond
    repair once the broker has found a record too large, and fails every other record in it with the same error: only
    alone can the one at fault be told from its neighbours.
    """

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        producer: Producer,
        limits: TopicLimits,
        careful: int = 0,
        ack_timeout_s: float = 120.0,
    ) -> None:
        self._name, self._settings, self._producer, self._limits = name, settings, producer, limits
        self._careful, self._ack_timeout_s = careful, ack_timeout_s
        self._cloudevents = settings.headers == "cloudevents"
        self._same_partition = settings.output_partition == "same"
        self._refused: Counter[tuple[str, int, int]] = Counter()  # how often the broker refused what a record became

    def be_careful(self, micro_batches: int) -> None:
        """From now on, for so many of them."""
        self._careful = micro_batches

    def ship(self, batch: MicroBatch) -> Shipment:
        """Send one record for each item of `batch`; its calls must be answered. Results go last, in order.

        Items of partitions that were taken away are dropped: their next owner does them again. Raises
        `InferenceError` when a call failed as a whole, `StreamError` when the producer cannot take a record.
        """
        shipment, now_ms = Shipment(batch), time.time() * 1000
        tally, answers = shipment.tally, batch.answers()
        # All are encoded before the first is sent: 10% less CPU than by turns, which keep nothing in the caches.
        values = self._encoded(batch.items, answers)
        self._producer.announce(len(values))
        results: list[Outgoing] = []
        for item, answer, value in zip(batch.items, answers, values, strict=True):
            if item.progress.revoked:
                continue
            if answer is None:
                tally.skipped[item.record.partition] += 1
                continue
            tally.latencies_ms.append(now_ms - item.record.timestamp)
            result = None if value is None else self._outgoing(item, answer, value)
            if result is not None and self._ship_result(shipment, item, answer, result):
                results.append(result)
            else:
                rejection = _rejection(answer, item.model) if value is None else too_large(len(value), item.model)
                self._bury(shipment, item, rejection)
        if results and not self._careful:
            self._send_all(shipment, results)
        self._careful = max(0, self._careful - 1)
        for (partition, reason), offset in shipment.first_dead.items():
            log.info("pipeline %s: %d dead letters (%s), the first of %s:%d:%d", self._name,
                     tally.dead_letters[partition, reason], reason, self._settings.input, partition, offset,
                     extra={"topic": self._settings.input, "partition": partition, "offset": offset, "reason": reason})
        return shipment

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for what was sent."""
        self._producer.close(timeout_s)

    def _encoded(self, items: list[Item], answers: list[Outcome | None]) -> list[bytes | None]:
        """The result's value of each item that has one and is still ours to send."""
        name, now = self._name, datetime.now(UTC)
        return [
            encode_result(name, item.record, item.message, item.model, answer, now)
            if isinstance(answer, Answered) and item.message is not None and not item.progress.revoked
            else None
            for item, answer in zip(items, answers, strict=True)
        ]

    def _outgoing(self, item: Item, answer: Any, value: bytes) -> Outgoing:
        record = item.record
        headers = []
        if record.headers or self._cloudevents:
            headers = result_headers(self._settings.headers, self._name, record, answer.task)
        return Outgoing(value, record.key, headers, record.partition if self._same_partition else None)

    def _ship_result(self, shipment: Shipment, item: Item, answer: Any, result: Outgoing) -> bool:
        """To the review topic, where it has to go there as well, and while careful to the output topic.

        False when it is too large for either, as the broker may have found before.
        """
        record, abstained = item.record, answer.abstained
        review = self._settings.review if abstained else None
        limit = self._limits.output if review is None else min(self._limits.output, self._limits.review)
        if result.size() > limit or (self._refused and self._refused[_place(item)]):
            return False
        if review is not None and not self._send(shipment, review, result._replace(partition=None), item):
            return False
        if self._careful and not self._send(shipment, self._settings.output, result, item):
            return False
        shipment.tally.results[record.partition] += 1
        shipment.tally.abstained += abstained
        if isinstance(answer, Prediction):
            shipment.tally.labels[item.model, _label(item, answer)] += 1
        return True

    def _bury(self, shipment: Shipment, item: Item, rejection: Rejection) -> None:
        """Send the record to the dead-letter topic, with as much of it as the topic takes."""
        kind = item.record.partition, rejection.reason.value
        shipment.tally.dead_letters[kind] += 1
        shipment.first_dead.setdefault(kind, item.record.offset)
        refusals = self._refused[_place(item)] if self._refused else 0
        whole_refused = refusals > (rejection.reason == Reason.RESULT_TOO_LARGE)
        if not whole_refused:
            letter = encode_dead_letter(item.record, rejection, self._limits.dead_letter)
            if self._send(shipment, self._settings.dead_letter, letter, item):
                return
        letter = encode_dead_letter(item.record, rejection, max_bytes=0)
        if not self._send(shipment, self._settings.dead_letter, letter, item):
            raise StreamError(f"topic {self._settings.dead_letter} does not even take a dead letter's headers: "
                              "raise its max.message.bytes")

    def _send(self, shipment: Shipment, topic: str, record: Outgoing, item: Item) -> bool:
        """False: the broker found it too large (known at once only while careful)."""
        try:
            ack = self._producer.send(topic, record)
            if self._careful:
                ack.get(self._ack_timeout_s)
        except TOO_LARGE:
            self._refused[_place(item)] += 1
            self._producer.refused()
            return False
        except KafkaError as error:
            raise _refusal(f"topic {topic} cannot be written", error) from error
        shipment.expect(topic, [ack])
        return True

    def _send_all(self, shipment: Shipment, results: list[Outgoing]) -> None:
        topic = self._settings.output
        try:
            shipment.expect(topic, self._producer.send_all(topic, results))
        except KafkaError as error:
            raise _refusal(f"topic {topic} cannot be written", error) from error


def _refusal(what: str, error: BaseException | None) -> StreamError:
    """The error to raise for one of kafka's. A broken producer's carries the one that broke it as an argument."""
    known = [cause for cause in (error, *getattr(error, "args", ())) if isinstance(cause, (*TOO_LARGE, *FENCED))]
    cause = known[0] if known else error
    kind = RecordRefused if isinstance(cause, TOO_LARGE) else Fenced if isinstance(cause, FENCED) else StreamError
    return kind(f"{what} ({type(cause).__name__}: {cause})")


def _place(item: Item) -> tuple[str, int, int]:
    return item.record.topic, item.record.partition, item.record.offset


def _label(item: Item, answer: Prediction) -> str:
    """The label to count. One that came with the message is the message's text, which shows nowhere."""
    if answer.abstained:
        return ABSTAINED
    own = item.message is not None and item.message.candidate_labels is not None
    return OTHER if own else answer.labels[0]


def _rejection(answer: Outcome, model: str) -> Rejection:
    if isinstance(answer, Rejection):
        return answer
    if isinstance(answer, RecordError):
        return refused(answer, model)
    raise TypeError("a prediction without a message")
