"""Result sink: produces the results and dead letters of a micro-batch.

`ResultSink.produce` returns a `ProducedBatch`. Offsets may advance only when the broker has acknowledged all its
records.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from labelstream.workers.classifier import Embedding, MaskFill, Prediction
from labelstream.workers.errors import RecordRefused
from labelstream.workers.records.routes import RouteRule
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.broker.topics import MIN_LETTER_BYTES, TopicLimits
from labelstream.workers.stream.codec.encode import (
    RECORD_OVERHEAD,
    ProducerRecord,
    own_headers,
    result_headers,
    value_encoder,
    with_texts,
)
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.text_list import TextAnswers
from labelstream.workers.stream.codec.timestamps import is_valid
from labelstream.workers.stream.log_throttle import LogThrottle
from labelstream.workers.stream.micro_batch import Item, MicroBatch, Outcome
from labelstream.workers.stream.producer.dead_letter_builder import DeadLetterBuilder, rejection_of
from labelstream.workers.stream.producer.destinations import Destinations
from labelstream.workers.stream.producer.produced_batch import (
    DeadLetterRefused,
    ProducedBatch,
    TopicPartitionOffset,
    place_of,
)
from labelstream.workers.stream.producer.producers import Producer
from labelstream.workers.stream.producer.refusal_isolation import ACK_TIMEOUT_S, RefusalIsolation
from labelstream.workers.stream.producer.send_errors import stream_error
from labelstream.workers.stream.producer.send_window import MAX_BYTES
from labelstream.workers.stream.producer.topic_rules import TopicRules
from labelstream.workers.stream.stats import DROPPED, by_reason

logger = logging.getLogger(__name__)
_RESULTS = (Prediction, MaskFill, Embedding, TextAnswers)


class ResultSink:
    """Owns and closes `producer`. Use from one thread."""

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
        self._encode, self._route = value_encoder(name, settings), settings.route
        self._matches = _matches_any if settings.fields.is_list else RouteRule.matches
        self._texts_for_review = settings.output_shape == "result" and settings.include_text == "review"
        self._review_bytes = limits.review
        self._cloudevents = settings.headers == "cloudevents"
        self._same_partition = settings.output_partition == "same"
        self._input_timestamp, self._said_retimed = settings.output_timestamp == "input", False
        self._rules = TopicRules(name, settings, limits)
        self._dead_letters = DeadLetterBuilder(name, settings, limits.dead_letter, self._rules)
        self._destinations = Destinations(settings, producer)
        self._dead_letter_log = LogThrottle(self._log_dead_letters)
        self.isolation = RefusalIsolation(settings, producer, self._rules, ack_timeout_s)

    def lacking(self) -> dict[str, str]:
        """See `Destinations.lacking`."""
        return self._destinations.lacking()

    def ready_for(self, batch: MicroBatch) -> bool:
        """May `batch` be produced? True if its topics and partitions exist and no record sent alone awaits its ack."""
        return not self.isolation.waits() and self._destinations.ready_for(batch)

    def produce(self, batch: MicroBatch, room: int = MAX_BYTES) -> ProducedBatch:
        """Produce one record for each item of `batch`, whose calls must be answered. Results go last, in order.

        Sends up to `room` bytes and at least one item; the other items become the `rest` of the produced batch. Drops
        items of revoked partitions: the next owner repeats them. Raises `InferenceError` if a call failed as a whole,
        `StreamError` if the producer cannot take a record.
        """
        # Encoding all values before sending any takes 10% less CPU than alternating, because of the CPU caches.
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
        if produced.first_dead:
            counts = by_reason(produced.tally.dead_letters)
            for reason, first in produced.first_dead.items():
                self._dead_letter_log.add(reason, counts[reason], first)
        return produced

    def throttled_s(self) -> float:
        """Seconds until a broker that throttles this client takes records again; 0 without a quota."""
        return self._producer.throttled_s()

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for acknowledgements and close the producer."""
        self._dead_letter_log.close()
        self._producer.close(timeout_s)

    def _log_dead_letters(self, reason: str, count: int, first: TopicPartitionOffset) -> None:
        topic, partition, offset = first
        logger.info(
            "pipeline %s: %d dead letter%s (%s), first %s:%d:%d",
            self._name,
            count,
            "" if count == 1 else "s",
            reason,
            *first,
            extra={"topic": topic, "partition": partition, "offset": offset, "reason": reason},
        )

    def _send(self, produced: ProducedBatch, values: list[bytes | None]) -> None:
        batch, tally, now_ms = produced.batch, produced.tally, time.time() * 1000
        results: dict[str, list[tuple[Item, ProducerRecord]]] = {}
        for item, answer, value in zip(batch.items, batch.resolve(), values, strict=True):
            if item.progress.revoked:
                continue
            if answer is None and not item.passes:
                tally.skipped[item.progress.name, item.skipped] += 1
                continue
            if answer is not None and value is None:
                rejection = rejection_of(answer, item.model)
            else:
                result = self._outgoing(item, answer, value)
                target = self._target(answer)
                rejection = self._send_result(produced, item, answer, result, target)
                if rejection is None and target is not None:
                    sent = self._placed(target, self._rules.with_valid_timestamp(result), item)
                    results.setdefault(target, []).append((item, sent))
                    self._count_retimed(produced, item, sent)
            if rejection is not None:
                self._send_dead_letter(produced, item, rejection)
            if is_valid(item.record.timestamp, now_ms):
                tally.latencies_ms.append(now_ms - item.record.timestamp)
        if not self.isolation.active:
            for topic, records in results.items():
                self._send_all(produced, topic, records)

    def _target(self, answer: Any) -> str | None:
        """The topic that gets the result; None if a rule drops the result. Records that pass go to the output."""
        if self._route and answer is not None:
            for rule in self._route:
                if self._matches(rule, answer):
                    return rule.topic
        return self._settings.output

    def _encoded(self, items: list[Item], answers: list[Outcome | None]) -> list[bytes | None]:
        """The encoded result of each item with an answer; None for other items and revoked partitions."""
        encode, now = self._encode, datetime.now(UTC)
        return [
            encode(item.record, item.message, item.model, answer, now)
            if isinstance(answer, _RESULTS) and item.message is not None and not item.progress.revoked
            else item.record.value
            if item.passes
            else None
            for item, answer in zip(items, answers, strict=True)
        ]

    def _fitting(
        self, batch: MicroBatch, values: list[bytes | None], room: int
    ) -> tuple[MicroBatch, MicroBatch | None, list[bytes | None]]:
        """The head of `batch` that fits in `room` (at least one item), the rest or None, and the head's values."""
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
            if self._settings.review and self._texts_for_review:
                room -= len(item.record.value or b"")
            if room < 0 and count:
                return count
        return len(values)

    def _outgoing(self, item: Item, answer: Any, value: bytes | None) -> ProducerRecord:
        record = item.record
        headers = []
        if answer is None:  # passes
            headers = own_headers(record)
        elif record.headers or self._cloudevents:
            kind = f"{answer.task}.answers" if type(answer) is TextAnswers else answer.task
            headers = result_headers(self._settings.headers, self._name, record, kind)
        return ProducerRecord(
            value,
            record.key,
            headers,
            record.partition if self._same_partition else None,
            record.timestamp if self._input_timestamp else None,
        )

    def _send_result(
        self, produced: ProducedBatch, item: Item, answer: Any, result: ProducerRecord, target: str | None
    ) -> Rejection | None:
        """Count the result, after sending it to the review topic if it abstained. A rejection if a topic refuses it."""
        review = self._settings.review if answer is not None and answer.abstained else None
        rejection = self._rules.obstacle(item, result, target, review)
        if rejection is None and (review is not None or self.isolation.active):
            rejection = self._send_alone(produced, item, answer, result, target, review)
        if rejection is None:
            produced.count_result(item, answer, is_dropped=target is None)
            if self._route and answer is not None:
                produced.tally.routed[DROPPED if target is None else target] += 1
        return rejection

    def _send_alone(
        self,
        produced: ProducedBatch,
        item: Item,
        answer: Any,
        result: ProducerRecord,
        target: str | None,
        review: str | None,
    ) -> Rejection | None:
        """Send to `review` if given, and to `target` if given while isolating. A rejection if one refuses."""
        rules, send, alone = self._rules, self._send_one, self.isolation.active
        while review is not None and not send(produced, review, self._for_review(review, item, answer, result), item):
            if rejection := rules.obstacle(item, result, target, review):
                return rejection
        while alone and target is not None and not send(produced, target, rules.with_valid_timestamp(result), item):
            if rejection := rules.obstacle(item, result, target, review):
                return rejection
        return None

    def _for_review(self, review: str, item: Item, answer: Any, result: ProducerRecord) -> ProducerRecord:
        """The copy of `result`, with its texts if the settings ask for them and the topic takes them."""
        copy = self._rules.to_review(review, item, result)
        if not self._texts_for_review or item.message is None or result.value is None:
            return copy
        whole = copy._replace(value=with_texts(result.value, item.message, answer))
        return whole if whole.size() <= self._review_bytes else copy

    def _count_retimed(self, produced: ProducedBatch, item: Item, result: ProducerRecord) -> None:
        if not self._input_timestamp or result.timestamp_ms is not None:
            return
        produced.tally.retimed += 1
        if not self._said_retimed:
            self._said_retimed = True
            logger.warning(
                "pipeline %s: output topic %s refuses the timestamp %d of the result for %s:%d:%d, or it is no valid "
                "time; such results are sent with the current time; `output_timestamp: now` does so for all",
                self._name,
                self._settings.output,
                item.record.timestamp,
                *place_of(item),
            )

    def _send_dead_letter(self, produced: ProducedBatch, item: Item, rejection: Rejection) -> None:
        """Produce a dead letter, without optional parts if the topic refuses the complete one.

        Raises `DeadLetterRefused` if the topic refuses both.
        """
        while letter := self._dead_letters.build(item, rejection):
            if self._send_one(produced, self._settings.dead_letter, letter, item):
                produced.count_dead_letter(item, rejection.reason)
                return
        raise DeadLetterRefused(self._dead_letters.why_none(item), produced, item)

    def _send_one(self, produced: ProducedBatch, topic: str, record: ProducerRecord, item: Item) -> bool:
        return self.isolation.send(produced, topic, self._placed(topic, record, item), item)

    def _placed(self, topic: str, record: ProducerRecord, item: Item) -> ProducerRecord:
        return self._destinations.in_order(topic, record, item.record)

    def _send_all(self, produced: ProducedBatch, topic: str, results: list[tuple[Item, ProducerRecord]]) -> None:
        try:
            acks = self._producer.send_batch(topic, [result for _, result in results])
        except KafkaError as error:
            raise stream_error(f"topic {topic} cannot be written", error) from error
        produced.expect(topic, [item for item, _ in results], acks, sum(result.size() for _, result in results))


def _matches_any(rule: RouteRule, answer: TextAnswers) -> bool:
    return any(map(rule.matches, answer.answered()))


def _size(record: ConsumerRecord, value: bytes | None) -> int:
    """Estimated bytes to produce for `record`: a result with `value`, or a dead letter if `value` is None."""
    size = len(value or record.value or b"") + len(record.key or b"") + RECORD_OVERHEAD
    if record.headers:
        size += sum(len(name) + len(header or b"") for name, header in record.headers)
    return size if value else size + MIN_LETTER_BYTES
