"""Result sink: produces the results and dead letters of a micro-batch.

`ResultSink.produce` returns a `ProducedBatch`. Offsets may advance only when the broker has acknowledged all its
records.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from labelstream.workers.errors import RecordRefused
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import MIN_LETTER_BYTES, TopicLimits
from labelstream.workers.stream.codec.encoding.producer_record import RECORD_OVERHEAD, ProducerRecord
from labelstream.workers.stream.codec.encoding.results import with_texts
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.timestamps import is_valid
from labelstream.workers.stream.flow_control.send_window import MAX_BYTES
from labelstream.workers.stream.log_throttle import LogThrottle
from labelstream.workers.stream.micro_batch import Item, MicroBatch, Outcome
from labelstream.workers.stream.producer.dead_letter_builder import DeadLetterBuilder, rejection_of
from labelstream.workers.stream.producer.destinations import Destinations
from labelstream.workers.stream.producer.kafka_producer.producers import Producer
from labelstream.workers.stream.producer.produced_batch import (
    DeadLetterRefused,
    ProducedBatch,
    TopicPartitionOffset,
    place_of,
)
from labelstream.workers.stream.producer.refusal_isolation import ACK_TIMEOUT_S, RefusalIsolation
from labelstream.workers.stream.producer.result_encoder import ResultEncoder
from labelstream.workers.stream.producer.send_errors import stream_error
from labelstream.workers.stream.producer.topic_rules import TopicRules
from labelstream.workers.stream.stats import DROPPED, by_reason

logger = logging.getLogger(__name__)


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
        self._encoder = ResultEncoder(name, settings)
        self._texts_for_review = settings.output_shape == "result" and settings.include_text == "review"
        self._review_bytes = limits.review
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
        self.isolation.begin(batch)
        answers = batch.resolve()
        # Encoding all values before sending any takes 10% less CPU than alternating, because of the CPU caches.
        values = batch.values or self._encoder.values(batch.items, answers)
        batch, rest, values = self._fitting(batch, values, room)
        produced = ProducedBatch(batch, rest, self._clock)
        self._producer.announce(len(values))
        try:
            self._send(produced, answers[: len(values)], values)
        except RecordRefused as error:
            produced.cut_short(error)
        if self.isolation.active:
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

    def _send(self, produced: ProducedBatch, answers: Sequence[Outcome | None], values: list[bytes | None]) -> None:
        now_ms = time.time() * 1000
        results: dict[str, list[tuple[Item, ProducerRecord]]] = {}
        for item, answer, value in zip(produced.batch.items, answers, values, strict=True):
            if item.progress.revoked:
                continue
            if answer is None and not item.passes:
                produced.tally.skipped[item.progress.name, item.skipped] += 1
                continue
            if answer is not None and value is None:
                rejection = rejection_of(answer, item.model)
            else:
                rejection = self._send_result(produced, item, answer, value, results)
            if rejection is not None:
                self._send_dead_letter(produced, item, rejection)
            if is_valid(item.record.timestamp, now_ms):
                produced.tally.latencies_ms.append(now_ms - item.record.timestamp)
        if not self.isolation.active:
            for topic, records in results.items():
                self._send_all(produced, topic, records)

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

    def _send_result(
        self,
        produced: ProducedBatch,
        item: Item,
        answer: Any,
        value: bytes | None,
        results: dict[str, list[tuple[Item, ProducerRecord]]],
    ) -> Rejection | None:
        """Add the result to `results` of its topic and count the result. A rejection if a topic refuses it.

        An abstention goes to the review topic first. While isolating, the result is sent here.
        """
        result, target = self._encoder.record(item, answer, value)
        review = self._settings.review if answer is not None and answer.abstained else None
        rejection = self._rules.obstacle(item, result, target, review)
        if rejection is None and (review is not None or self.isolation.active):
            rejection = self._send_alone(produced, item, answer, result, target, review)
        if rejection is not None:
            return rejection
        if target is not None:
            sent = self._destinations.in_order(target, self._rules.with_valid_timestamp(result), item.record)
            results.setdefault(target, []).append((item, sent))
            if self._input_timestamp and sent.timestamp_ms is None:
                self._count_retimed(produced, item)
        produced.count_result(item, answer, is_dropped=target is None)
        if self._settings.route and answer is not None:
            produced.tally.routed[DROPPED if target is None else target] += 1
        return None

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

    def _count_retimed(self, produced: ProducedBatch, item: Item) -> None:
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
        return self.isolation.send(produced, topic, self._destinations.in_order(topic, record, item.record), item)

    def _send_all(self, produced: ProducedBatch, topic: str, results: list[tuple[Item, ProducerRecord]]) -> None:
        try:
            acks = self._producer.send_batch(topic, [result for _, result in results])
        except KafkaError as error:
            raise stream_error(f"topic {topic} cannot be written", error) from error
        produced.expect(topic, [item for item, _ in results], acks, sum(result.size() for _, result in results))


def _size(record: ConsumerRecord, value: bytes | None) -> int:
    """Estimated bytes to produce for `record`: a result with `value`, or a dead letter if `value` is None."""
    size = len(value or record.value or b"") + len(record.key or b"") + RECORD_OVERHEAD
    if record.headers:
        size += sum(len(name) + len(header or b"") for name, header in record.headers)
    return size if value else size + MIN_LETTER_BYTES
