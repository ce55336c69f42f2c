"""Results and dead letters out.

`ResultSink.produce` sends what one micro-batch became. Only when the broker has acknowledged every record of the
`ProducedBatch` that it returns may offsets advance.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, KafkaTimeoutError

from labelstream.workers.classifier import Answered, Prediction, RecordError
from labelstream.workers.errors import RecordRefused
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.broker.topics import MIN_LETTER_BYTES, TopicLimits
from labelstream.workers.stream.codec.encode import RECORD_OVERHEAD, ProducerRecord, encode_result, result_headers
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.timestamps import is_sound
from labelstream.workers.stream.micro_batch import Item, MicroBatch, Outcome, refused
from labelstream.workers.stream.producer.destinations import Destinations
from labelstream.workers.stream.producer.produced_batch import (
    DeadLetterRefused,
    ProducedBatch,
    TopicPartitionOffset,
    acknowledged,
    place_of,
)
from labelstream.workers.stream.producer.producers import Producer
from labelstream.workers.stream.producer.send_errors import OWN, stream_error
from labelstream.workers.stream.producer.send_window import MAX_BYTES
from labelstream.workers.stream.producer.topic_limits import Acceptance
from labelstream.workers.stream.stats import ABSTAINED, OTHER

logger = logging.getLogger(__name__)
ACK_TIMEOUT_S = 5.0  # the loop stands so long; what is acknowledged later is waited for by turning


class _LateAck(NamedTuple):
    """A record that was sent alone, and whose acknowledgement did not come soon."""

    ack: Any
    topic: str
    item: Item
    record: ProducerRecord


class ResultSink:
    """Owns `producer`. Used by one thread.

    After a refusal, micro-batches are sent one by one: each record is acknowledged before the next is sent. A producer
    is beyond repair once the broker has refused a record for itself, and fails every other record in it: only alone can
    the one at fault be told from its neighbours. So are those with dead letters until the dead-letter topic has taken
    one: where it takes none the stream ends, and what was sent behind them would come out again with each new start.
    """

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        producer: Producer,
        limits: TopicLimits,
        ack_timeout_s: float = ACK_TIMEOUT_S,
    ) -> None:
        self._name, self._settings, self._producer, self._ack_timeout_s = name, settings, producer, ack_timeout_s
        self._cloudevents = settings.headers == "cloudevents"
        self._same_partition = settings.output_partition == "same"
        self._input_timestamp, self._said_retimed = settings.output_timestamp == "input", False
        self._acceptance = Acceptance(name, settings, limits)
        self._destinations = Destinations(settings, producer)
        self._batches_one_by_one = 0
        self._one_by_one = self._dead_letters_accepted = False
        self._late: _LateAck | None = None
        self._taken: set[tuple[str, TopicPartitionOffset]] = (
            set()
        )  # what the broker has of micro-batches that are sent again

    def lacking(self) -> dict[str, str]:
        """See `Destinations.lacking`."""
        return self._destinations.lacking()

    def ready_for(self, batch: MicroBatch) -> bool:
        """May it be produced? Its topics and partitions are there, and one by one, all before is acknowledged."""
        late = self._late is not None and not self._late.ack.is_done
        return not late and self._destinations.ready_for(batch)

    def goes_one_by_one(self, batch: MicroBatch) -> bool:
        """Is each record sent alone? After a refusal, and until the dead-letter topic has taken a dead letter."""
        return self._batches_one_by_one > 0 or (not self._dead_letters_accepted and batch.has_dead_letters())

    def send_one_by_one(self, micro_batches: int) -> None:
        """From now on, for so many of them."""
        late, self._late = self._late, None
        if late is not None and late.ack.is_done and isinstance(late.ack.exception, OWN):
            self._acceptance.refused(late.topic, late.item, late.record, late.ack.exception)
        self._batches_one_by_one = micro_batches

    def send_again(self, produced_batches: Sequence[ProducedBatch]) -> None:
        """Their micro-batches will be produced again, one by one: what the broker does not have of them, in order.

        Every acknowledgement must be there. Begins with a new producer.
        """
        self._taken |= acknowledged(produced_batches, self._same_partition)
        self._producer.refused()
        self.send_one_by_one(self._batches_one_by_one + len(produced_batches))

    def produce(self, batch: MicroBatch, room: int = MAX_BYTES) -> ProducedBatch:
        """Send one record for each item of `batch`; its calls must be answered. Results go last, in order.

        What takes more than `room` bytes is the batch's rest, but for the first item. Items of partitions that were
        taken away are dropped: their next owner does them again. Raises `InferenceError` when a call failed as a
        whole, `StreamError` when the producer cannot take a record.
        """
        # All are encoded before the first is sent: 10% less CPU than by turns, which keep nothing in the caches.
        answers = batch.resolve()
        values = batch.values or self._encoded(batch.items, answers)
        self._one_by_one = self.goes_one_by_one(batch)
        batch, rest, values = self._fitting(batch, values, room)
        produced, now_ms = ProducedBatch(batch, rest), time.time() * 1000
        tally, answers = produced.tally, batch.resolve()
        self._producer.announce(len(values))
        results: list[tuple[Item, ProducerRecord]] = []
        try:
            for item, answer, value in zip(batch.items, answers, values, strict=True):
                if item.progress.revoked:
                    continue
                if answer is None:
                    tally.skipped[item.record.partition] += 1
                    continue
                if value is None:
                    rejection = _rejection(answer, item.model)
                else:
                    result = self._outgoing(item, answer, value)
                    rejection = self._produce_result(produced, item, answer, result)
                    if rejection is None:
                        results.append((item, self._acceptance.in_time(result)))
                        self._count_retimed(produced, item, results[-1][1])
                if rejection is not None:
                    self._send_dead_letter(produced, item, rejection)
                if is_sound(item.record.timestamp, now_ms):
                    tally.latencies_ms.append(now_ms - item.record.timestamp)
            if results and not self._one_by_one:
                self._send_all(produced, results)
        except RecordRefused as error:
            produced.cut_short(error)
        if rest is None:
            self._batches_one_by_one = max(0, self._batches_one_by_one - 1)
        if not self._batches_one_by_one:
            self._taken.clear()
        self._log_dead_letters(produced)
        return produced

    def throttled_s(self) -> float:
        """For how long yet a broker takes nothing from us, because of a quota."""
        return self._producer.throttled_s()

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

    def _fitting(
        self, batch: MicroBatch, values: list[bytes | None], room: int
    ) -> tuple[MicroBatch, MicroBatch | None, list[bytes | None]]:
        """As much at the head of `batch` as there is room for, at least one item; the rest of it; the head's values."""
        count = 1 if self._one_by_one else self._count(batch, values, room // 2 if self._settings.review else room)
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

    def _produce_result(
        self, produced: ProducedBatch, item: Item, answer: Any, result: ProducerRecord
    ) -> Rejection | None:
        """To the review topic, where it has to go there as well, and while one by one to the output topic.

        Returns what it is instead when one of them does not take it.
        """
        record, abstained, takes = item.record, answer.abstained, self._acceptance
        output, review = self._settings.output, self._settings.review if abstained else None
        if rejection := takes.obstacle(item, result, review):
            return rejection
        while review is not None and not self._send(produced, review, takes.to_review(review, item, result), item):
            if rejection := takes.obstacle(item, result, review):
                return rejection
        while self._one_by_one and not self._send(produced, output, takes.in_time(result), item):
            if rejection := takes.obstacle(item, result, review):
                return rejection
        produced.tally.results[record.partition] += 1
        produced.tally.abstained += abstained
        if isinstance(answer, Prediction):
            produced.tally.labels[item.model, _label(item, answer)] += 1
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
        topic = self._settings.dead_letter
        while letter := self._acceptance.dead_letter(item, rejection):
            if self._send(produced, topic, letter, item):
                break
        else:
            raise DeadLetterRefused(self._acceptance.why_no_dead_letter(item), produced, item)
        kind = item.record.partition, rejection.reason.value
        produced.tally.dead_letters[kind] += 1
        produced.first_dead.setdefault(kind, item.record.offset)

    def _send(self, produced: ProducedBatch, topic: str, record: ProducerRecord, item: Item) -> bool:
        """False: the broker refused it for itself, which is known only of what is sent alone."""
        what = topic, place_of(item)
        if what in self._taken:
            return True
        try:
            ack = self._producer.send(topic, record)
            if self._one_by_one and not self._answered(ack):
                self._late = _LateAck(ack, topic, item, record)
            elif self._one_by_one and topic == self._settings.dead_letter:
                self._dead_letters_accepted = True
        except KafkaError as error:
            if not (self._one_by_one and isinstance(error, OWN)):
                raise stream_error(f"topic {topic} cannot be written", error) from error
            self._acceptance.refused(topic, item, record, error)
            self._producer.refused()
            return False
        produced.expect(topic, [item], [ack], record.size())
        return True

    def _answered(self, ack: Any) -> bool:
        """Wait for the broker's word for a moment. Raises its refusal."""
        try:
            ack.get(self._ack_timeout_s)
        except KafkaTimeoutError:
            if ack.is_done:
                raise
            return False
        return True

    def _send_all(self, produced: ProducedBatch, results: list[tuple[Item, ProducerRecord]]) -> None:
        topic = self._settings.output
        try:
            acks = self._producer.send_batch(topic, [result for _, result in results])
        except KafkaError as error:
            raise stream_error(f"topic {topic} cannot be written", error) from error
        produced.expect(topic, [item for item, _ in results], acks, sum(result.size() for _, result in results))

    def _log_dead_letters(self, produced: ProducedBatch) -> None:
        for (partition, reason), offset in produced.first_dead.items():
            logger.info(
                "pipeline %s: %d dead letters (%s), the first of %s:%d:%d",
                self._name,
                produced.tally.dead_letters[partition, reason],
                reason,
                self._settings.input,
                partition,
                offset,
                extra={"topic": self._settings.input, "partition": partition, "offset": offset, "reason": reason},
            )


def _size(record: ConsumerRecord, value: bytes | None) -> int:
    """About how many bytes go out for `record`: a result of this value, or a dead letter with the record's."""
    size = len(value or record.value or b"") + len(record.key or b"") + RECORD_OVERHEAD
    if record.headers:
        size += sum(len(name) + len(header or b"") for name, header in record.headers)
    return size if value else size + MIN_LETTER_BYTES


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
