"""Results and dead letters out, and knowing when the broker has them.

`ResultSink.ship` sends what one micro-batch became. The `Shipment` it returns is settled when the broker has
acknowledged every record of it; only then may offsets advance.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.producer.future import FutureRecordMetadata

from workers.classifier import Prediction, RecordError
from workers.errors import RecordRefused, StreamError
from workers.settings import PipelineSettings
from workers.stream.batch import Answer, Item, MicroBatch, refused
from workers.stream.decode import Rejection
from workers.stream.encode import Outgoing, encode_dead_letter, encode_result, result_headers, too_large
from workers.stream.topics import TopicLimits

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Shipment:
    """What one micro-batch sent: an acknowledgement to come for each record, in order."""

    def __init__(self, batch: MicroBatch) -> None:
        self.batch = batch
        self.results = 0
        self.dead_letters: Counter[str] = Counter()
        self.skipped = 0
        self.latencies_ms: list[float] = []
        self._acks: list[FutureRecordMetadata] = []
        self._settled = 0

    def expect(self, ack: FutureRecordMetadata) -> None:
        self._acks.append(ack)

    def on_last_ack(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the last record's acknowledgement is there; others may still be missing."""
        if self._acks:
            self._acks[-1].add_both(lambda _: wake())
        else:
            wake()

    def settle(self) -> bool:
        """Is every record acknowledged? Never blocks.

        Raises `RecordRefused` when the broker found a record too large, `StreamError` for any other refusal: nothing
        of this shipment may be committed then.
        """
        while self._settled < len(self._acks):
            ack = self._acks[self._settled]
            if not ack.is_done:
                return False
            if ack.failed():
                error = ack.exception
                kind = RecordRefused if isinstance(error, TOO_LARGE) else StreamError
                raise kind(f"a record was not acknowledged ({type(error).__name__})") from error
            self._settled += 1
        return True


class ResultSink:
    """Owns the producers that `make_producer` makes. Used by one thread.

    `careful`: so many micro-batches are sent record by record, each acknowledged before the next. An idempotent
    producer is beyond repair once the broker has found a record too large, and fails every other record in it with
    the same error: only alone can the one at fault be told from its neighbours.
    """

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        make_producer: Callable[[], KafkaProducer],
        limits: TopicLimits,
        careful: int = 0,
        ack_timeout_s: float = 120.0,
    ) -> None:
        self._name, self._settings, self._limits = name, settings, limits
        self._make_producer, self._producer = make_producer, make_producer()
        self._careful, self._ack_timeout_s = careful, ack_timeout_s
        self._cloudevents = settings.headers == "cloudevents"
        self._same_partition = settings.output_partition == "same"

    def ship(self, batch: MicroBatch) -> Shipment:
        """Send one record for each item of `batch`, in order; its calls must be answered.

        Items of partitions that were taken away are dropped: their next owner does them again. Raises
        `InferenceError` when a call failed as a whole, `StreamError` when the producer cannot take a record.
        """
        shipment = Shipment(batch)
        answers = batch.answers()
        # All are encoded before the first is sent: 10% less CPU than by turns, which keep nothing in the caches.
        values = self._encoded(batch.items, answers)
        now_ms = time.time() * 1000
        for item, answer, value in zip(batch.items, answers, values, strict=True):
            if item.progress.revoked:
                continue
            if answer is None:
                shipment.skipped += 1
                continue
            shipment.latencies_ms.append(now_ms - item.record.timestamp)
            if value is not None:
                self._ship_result(shipment, item, value)
            else:
                self._bury(shipment, item, _rejection(answer, item.model))
        self._careful = max(0, self._careful - 1)
        return shipment

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for what was sent."""
        self._producer.close(timeout=timeout_s)

    def _encoded(self, items: list[Item], answers: list[Answer | None]) -> list[bytes | None]:
        """The result's value of each item that has one and is still ours to send."""
        name, now = self._name, datetime.now(UTC)
        return [
            encode_result(name, item.record, item.message, item.model, answer, now)
            if isinstance(answer, Prediction) and item.message is not None and not item.progress.revoked
            else None
            for item, answer in zip(items, answers, strict=True)
        ]

    def _ship_result(self, shipment: Shipment, item: Item, value: bytes) -> None:
        record = item.record
        headers = []
        if record.headers or self._cloudevents:
            headers = result_headers(self._settings.headers, self._name, record)
        result = Outgoing(value, record.key, headers, record.partition if self._same_partition else None)
        size = result.size()
        if size > self._limits.output or not self._send(shipment, self._settings.output, result):
            self._bury(shipment, item, too_large(size, item.model))
        else:
            shipment.results += 1

    def _bury(self, shipment: Shipment, item: Item, rejection: Rejection) -> None:
        """Send the record to the dead-letter topic, with as much of it as the topic takes."""
        shipment.dead_letters[rejection.reason.value] += 1
        letter = encode_dead_letter(item.record, rejection, self._limits.dead_letter)
        if self._send(shipment, self._settings.dead_letter, letter):
            return
        letter = encode_dead_letter(item.record, rejection, max_bytes=0)
        if not self._send(shipment, self._settings.dead_letter, letter):
            raise StreamError(f"topic {self._settings.dead_letter} does not even take a dead letter's headers: "
                              "raise its max.message.bytes")

    def _send(self, shipment: Shipment, topic: str, record: Outgoing) -> bool:
        """False: the broker found it too large (known at once only while careful)."""
        try:
            ack = self._producer.send(topic, record.value, record.key, record.headers, record.partition)
            if self._careful:
                ack.get(self._ack_timeout_s)
        except TOO_LARGE:
            self._producer.close(timeout=0)
            self._producer = self._make_producer()
            return False
        except KafkaError as error:
            raise StreamError(f"topic {topic} cannot be written ({type(error).__name__}: {error})") from error
        shipment.expect(ack)
        return True


def _rejection(answer: Answer, model: str) -> Rejection:
    if isinstance(answer, Rejection):
        return answer
    if isinstance(answer, RecordError):
        return refused(answer, model)
    raise TypeError("a prediction without a message")
