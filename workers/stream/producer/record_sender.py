"""Sends the records of a micro-batch: encoded results, and a dead letter for each rejected record or refused result."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kafka.errors import KafkaError

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.codec.encoding.producer_record import Encoded, ProducerRecord
from labelstream.workers.stream.codec.encoding.results import with_texts
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.timestamps import is_valid
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.producer.dead_letter_builder import DeadLetterBuilder, rejection_of
from labelstream.workers.stream.producer.kafka_producer.producers import Producer
from labelstream.workers.stream.producer.output_partitions import OutputPartitions
from labelstream.workers.stream.producer.produced_batch import DeadLetterRefused, ProducedBatch, place_of
from labelstream.workers.stream.producer.refusal_isolation import RefusalIsolation
from labelstream.workers.stream.producer.send_errors import stream_error
from labelstream.workers.stream.producer.topic_requirements import TopicRequirements
from labelstream.workers.stream.stats import DROPPED

logger = logging.getLogger(__name__)


class RecordSender:
    """Of one sink, whose `partitions` are ready and whose `isolation` has begun the micro-batch.

    `texts_for_review`: the copies for the review topic have the texts, if the topic has room.
    """

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        producer: Producer,
        limits: TopicLimits,
        requirements: TopicRequirements,
        partitions: OutputPartitions,
        isolation: RefusalIsolation,
    ) -> None:
        self._name, self._settings, self._producer = name, settings, producer
        self._requirements, self._partitions, self._isolation = requirements, partitions, isolation
        self._dead_letters = DeadLetterBuilder(name, settings, limits.dead_letter, requirements)
        self.texts_for_review = (
            bool(settings.review) and settings.output_shape == "result" and (settings.include_text == "review")
        )
        self._review_bytes = limits.review
        self._input_timestamp, self._said_retimed = settings.output_timestamp == "input", False

    def send(self, produced: ProducedBatch) -> None:
        """Send the records of `produced.batch`, and add them to `produced`.

        Raises `RecordRefused` if an earlier refusal broke the producer, `StreamError` if the producer cannot take a
        record, `DeadLetterRefused` if the dead-letter topic refuses a dead letter.
        """
        batch, now_ms = produced.batch, time.time() * 1000
        results: dict[str, list[tuple[Item, ProducerRecord]]] = {}
        for item, answer, encoded in zip(batch.items, batch.outcomes, batch.encoded, strict=True):
            if item.progress.revoked:
                continue
            if encoded is not None:
                rejection = self._send_result(produced, item, answer, encoded, results)
            elif answer is not None:
                rejection = rejection_of(answer, item.model)
            else:
                produced.tally.skipped[item.progress.name, item.skipped] += 1
                continue
            if rejection is not None:
                self._send_dead_letter(produced, item, rejection)
            if is_valid(item.record.timestamp, now_ms):
                produced.tally.latencies_ms.append(now_ms - item.record.timestamp)
        if not self._isolation.active:
            for topic, records in results.items():
                self._send_all(produced, topic, records)

    def _send_result(
        self,
        produced: ProducedBatch,
        item: Item,
        answer: Any,
        encoded: Encoded,
        results: dict[str, list[tuple[Item, ProducerRecord]]],
    ) -> Rejection | None:
        """Add the result to `results` of its topic and count the result. A rejection if a topic refuses it.

        An abstention goes to the review topic first. While isolating, the result is sent here.
        """
        result, target = encoded
        review = self._settings.review if answer is not None and answer.abstained else None
        rejection = self._requirements.obstacle(item, result, target, review)
        if rejection is None and (review is not None or self._isolation.active):
            rejection = self._send_alone(produced, item, answer, result, target, review)
        if rejection is not None:
            return rejection
        if target is not None:
            sent = self._requirements.with_valid_timestamp(result)
            self._partitions.place(target, sent, item.record)
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
        requirements, send, alone = self._requirements, self._send_one, self._isolation.active
        while review is not None and not send(produced, review, self._for_review(review, item, answer, result), item):
            if rejection := requirements.obstacle(item, result, target, review):
                return rejection
        timely = requirements.with_valid_timestamp
        while alone and target is not None and not send(produced, target, timely(result), item):
            if rejection := requirements.obstacle(item, result, target, review):
                return rejection
        return None

    def _for_review(self, review: str, item: Item, answer: Any, result: ProducerRecord) -> ProducerRecord:
        """The copy of `result`, with its texts if the settings ask for them and the topic takes them."""
        copy = self._requirements.to_review(review, item, result)
        if not self.texts_for_review or item.message is None or result.value is None:
            return copy
        whole = replace(copy, value=with_texts(result.value, item.message, answer))
        return whole if whole.size <= self._review_bytes else copy

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
        self._partitions.place(topic, record, item.record)
        return self._isolation.send(produced, topic, record, item)

    def _send_all(self, produced: ProducedBatch, topic: str, results: Sequence[tuple[Item, ProducerRecord]]) -> None:
        try:
            acks = self._producer.send_batch(topic, [result for _, result in results])
        except KafkaError as error:
            raise stream_error(f"topic {topic} cannot be written", error) from error
        produced.expect(topic, [item for item, _ in results], acks, sum(result.size for _, result in results))
