"""Results and dead letters out.

`ResultSink.produce` sends what one micro-batch became. Only when the broker has acknowledged every record of the
`ProducedBatch` that it returns may offsets advance.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from labelstream.workers.classifier import Answered
from labelstream.workers.errors import RecordRefused
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.broker.topics import MIN_LETTER_BYTES, TopicLimits
from labelstream.workers.stream.codec.encode import RECORD_OVERHEAD, ProducerRecord, encode_result, result_headers
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.timestamps import is_sound
from labelstream.workers.stream.micro_batch import Item, MicroBatch, Outcome
from labelstream.workers.stream.producer.dead_letter_builder import DeadLetterBuilder, rejection_of
from labelstream.workers.stream.producer.destinations import Destinations
from labelstream.workers.stream.producer.produced_batch import DeadLetterRefused, ProducedBatch, place_of
from labelstream.workers.stream.producer.producers import Producer
from labelstream.workers.stream.producer.refusal_isolation import ACK_TIMEOUT_S, RefusalIsolation
from labelstream.workers.stream.producer.send_errors import stream_error
from labelstream.workers.stream.producer.send_window import MAX_BYTES
from labelstream.workers.stream.producer.topic_rules import TopicRules

logger = logging.getLogger(__name__)


class ResultSink:
    """Owns `producer`. Used by one thread."""

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        producer: Producer,
        limits: TopicLimits,
        ack_timeout_s: float = ACK_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._settings, self._producer, self._clock = name, settings, producer, clock
        self._cloudevents = settings.headers == "cloudevents"
        self._same_partition = settings.output_partition == "same"
        self._input_timestamp, self._said_retimed = settings.output_timestamp == "input", False
        self._rules = TopicRules(name, settings, limits)
        self._dead_letters = DeadLetterBuilder(name, settings, limits.dead_letter, self._rules)
        self._destinations = Destinations(settings, producer)
        self.isolation = RefusalIsolation(settings, producer, self._rules, ack_timeout_s)

    def lacking(self) -> dict[str, str]:
        """See `Destinations.lacking`."""
        return self._destinations.lacking()

    def ready_for(self, batch: MicroBatch) -> bool:
        """May it be produced? Its topics and partitions are there, and what was sent alone is acknowledged."""
        return not self.isolation.waits() and self._destinations.ready_for(batch)

    def produce(self, batch: MicroBatch, room: int = MAX_BYTES) -> ProducedBatch:
        """Send one record for each item of `batch`; its calls must be answered. Results go last, in order.

        What takes more than `room` bytes is the batch's rest, but for the first item. Items of partitions that were
        taken away are dropped: their next owner does them again. Raises `InferenceError` when a call failed as a
        whole, `StreamError` when the producer cannot take a record.
        """
        # All are encoded before the first is sent: 10% less CPU than by turns, which keep nothing in the caches.
        answers = batch.resolve()
        values = batch.values or self._encoded(batch.items, answers)
        self.isolation.begin(batch)
        batch, rest, values = self._fitting(batch, values, room)
        produced = ProducedBatch(batch, rest, self._clock)
        self._producer.announce(len(values))
        try:
            self._send(produced, values)
        except RecordRefused as error:
            produced.cut_short(error)
        self.isolation.end(whole=rest is None)
        produced.log_dead_letters(self._name, self._settings.input)
        return produced

    def throttled_s(self) -> float:
        """For how long yet a broker takes nothing from us, because of a quota."""
        return self._producer.throttled_s()

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for what was sent."""
        self._producer.close(timeout_s)

    def _send(self, produced: ProducedBatch, values: list[bytes | None]) -> None:
        batch, tally, now_ms = produced.batch, produced.tally, time.time() * 1000
        results: list[tuple[Item, ProducerRecord]] = []
        for item, answer, value in zip(batch.items, batch.resolve(), values, strict=True):
            if item.progress.revoked:
                continue
            if answer is None:
                tally.skipped[item.record.partition] += 1
                continue
            if value is None:
                rejection = rejection_of(answer, item.model)
            else:
                result = self._outgoing(item, answer, value)
                rejection = self._send_result(produced, item, answer, result)
                if rejection is None:
                    results.append((item, self._rules.in_time(result)))
                    self._count_retimed(produced, item, results[-1][1])
            if rejection is not None:
                self._send_dead_letter(produced, item, rejection)
            if is_sound(item.record.timestamp, now_ms):
                tally.latencies_ms.append(now_ms - item.record.timestamp)
        if results and not self.isolation.active:
            self._send_all(produced, results)

    def _encoded(self, items: list[Item], answers: list[Outcome | None]) -> list[bytes | None]:
        """The result's value of each item that has one and is still ours to send."""
        name, now = self._name, datetime.now(UTC)
        return [
            encode_result(name, item.record, item.message, item.model, answer, now)
            if isinstance(answer, Answered) and item.message is not None and not item.progress.revoked
            else None
            for item, answer in zip(items, answers, strict=True)
        ]

    def _fitting(
        self, batch: MicroBatch, values: list[bytes | None], room: int
    ) -> tuple[MicroBatch, MicroBatch | None, list[bytes | None]]:
        """As much at the head of `batch` as there is room for, at least one item; the rest of it; the head's values."""
        count = 1 if self.isolation.active else self._count(batch, values, room // 2 if self._settings.review else room)
        if count >= len(values):
            return batch, None, values
        head, rest = batch.split(count)
        rest.values = values[count:]
        return head, rest, values[:count]

    def _count(self, batch: MicroBatch, values: list[bytes | None], room: int) -> int:
        for count, (item, value) in enumerate(zip(batch.items, values, strict=True)):
            if item.progress.revoked:
                continue
            room -= _size(item.record, value)
            if room < 0 and count:
                return count
        return len(values)

    def _outgoing(self, item: Item, answer: Any, value: bytes) -> ProducerRecord:
        record = item.record
        headers = []
        if record.headers or self._cloudevents:
            headers = result_headers(self._settings.headers, self._name, record, answer.task)
        return ProducerRecord(
            value,
            record.key,
            headers,
            record.partition if self._same_partition else None,
            record.timestamp if self._input_timestamp else None,
        )

    def _send_result(
        self, produced: ProducedBatch, item: Item, answer: Any, result: ProducerRecord
    ) -> Rejection | None:
        """As far as it does not go with the others at the end. Returns what it is instead when a topic refuses it."""
        review = self._settings.review if answer.abstained else None
        rejection = self._rules.obstacle(item, result, review)
        if rejection is None and (review is not None or self.isolation.active):
            rejection = self._send_alone(produced, item, result, review)
        if rejection is None:
            produced.count_result(item, answer)
        return rejection

    def _send_alone(
        self, produced: ProducedBatch, item: Item, result: ProducerRecord, review: str | None
    ) -> Rejection | None:
        """To the review topic, where it has to go there as well, and while one by one to the output topic."""
        rules, send, output = self._rules, self.isolation.send, self._settings.output
        while review is not None and not send(produced, review, rules.to_review(review, item, result), item):
            if rejection := rules.obstacle(item, result, review):
                return rejection
        while self.isolation.active and not send(produced, output, rules.in_time(result), item):
            if rejection := rules.obstacle(item, result, review):
                return rejection
        return None

    def _count_retimed(self, produced: ProducedBatch, item: Item, result: ProducerRecord) -> None:
        if not self._input_timestamp or result.timestamp_ms is not None:
            return
        produced.tally.retimed += 1
        if not self._said_retimed:
            self._said_retimed = True
            logger.warning(
                "pipeline %s: results are sent with the time of sending, the first for %s:%d:%d: topic %s does "
                "not take or keep a timestamp of %d, or it is no time; output_timestamp: now does so for all",
                self._name,
                *place_of(item),
                self._settings.output,
                item.record.timestamp,
            )

    def _send_dead_letter(self, produced: ProducedBatch, item: Item, rejection: Rejection) -> None:
        """Send the record to the dead-letter topic, with as much of it as the topic takes.

        Raises `DeadLetterRefused` when the topic takes it in no form.
        """
        while letter := self._dead_letters.build(item, rejection):
            if self.isolation.send(produced, self._settings.dead_letter, letter, item):
                produced.count_dead_letter(item, rejection.reason)
                return
        raise DeadLetterRefused(self._dead_letters.why_none(item), produced, item)

    def _send_all(self, produced: ProducedBatch, results: list[tuple[Item, ProducerRecord]]) -> None:
        topic = self._settings.output
        try:
            acks = self._producer.send_batch(topic, [result for _, result in results])
        except KafkaError as error:
            raise stream_error(f"topic {topic} cannot be written", error) from error
        produced.expect(topic, [item for item, _ in results], acks, sum(result.size() for _, result in results))


def _size(record: ConsumerRecord, value: bytes | None) -> int:
    """About how many bytes go out for `record`: a result of this value, or a dead letter with the record's."""
    size = len(value or record.value or b"") + len(record.key or b"") + RECORD_OVERHEAD
    if record.headers:
        size += sum(len(name) + len(header or b"") for name, header in record.headers)
    return size if value else size + MIN_LETTER_BYTES
