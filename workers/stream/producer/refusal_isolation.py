"""Find the record that the broker refuses, by sending record by record.

kafka-python's producer is unusable after a refused record and fails all other records in it. Only a record sent alone
can be told apart from its neighbors.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from kafka.errors import KafkaError, KafkaTimeoutError

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.kafka_producer.producers import Producer
from labelstream.workers.stream.producer.produced_batch import (
    ProducedBatch,
    TopicPartitionOffset,
    acknowledged,
    place_of,
)
from labelstream.workers.stream.producer.send_errors import RECORD_ERRORS, stream_error
from labelstream.workers.stream.producer.topic_requirements import TopicRequirements

ACK_TIMEOUT_S = 5.0  # blocks the pipeline's loop; later acknowledgements are polled


class _LateAck(NamedTuple):
    """A record sent alone that was not acknowledged in time."""

    ack: Any
    topic: str
    item: Item
    record: ProducerRecord


class RefusalIsolation:
    """Sends single records with `producer` and reports refused ones to `requirements`. Use from one thread.

    After a refusal, micro-batches go record by record: each record is acknowledged before the next is sent. The same
    holds for micro-batches with dead letters until the dead-letter topic has accepted one: if the topic refuses them,
    the pipeline ends, and every restart would repeat the records sent after the dead letter.

    `active`: the current micro-batch goes record by record.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        producer: Producer,
        requirements: TopicRequirements,
        ack_timeout_s: float = ACK_TIMEOUT_S,
    ) -> None:
        self._dead_letter, self._same_partition = settings.dead_letter, settings.output_partition == "same"
        self._producer, self._requirements, self._ack_timeout_s = producer, requirements, ack_timeout_s
        self.active = False
        self._micro_batches_left = 0
        self._dead_letters_accepted = False
        self._late: _LateAck | None = None
        self._taken: set[tuple[str, TopicPartitionOffset]] = set()  # acknowledged records of batches sent again

    def waits(self) -> bool:
        """Does a record sent alone await its acknowledgement? No other record may follow it."""
        return self._late is not None and not self._late.ack.is_done

    def applies_to(self, batch: MicroBatch) -> bool:
        """Will `batch` go record by record?"""
        return self._micro_batches_left > 0 or (not self._dead_letters_accepted and batch.has_dead_letters())

    def isolate(self, micro_batches: int) -> None:
        """Send the next `micro_batches` record by record."""
        late, self._late = self._late, None
        if late is not None and late.ack.is_done and isinstance(late.ack.exception, RECORD_ERRORS):
            self._requirements.refused(late.topic, late.item, late.record, late.ack.exception)
        self._micro_batches_left = micro_batches

    def send_again(self, produced_batches: Sequence[ProducedBatch]) -> None:
        """Prepare to produce these micro-batches again, record by record, without their acknowledged records.

        All acknowledgements must be known. Replaces the producer.
        """
        self._taken |= acknowledged(produced_batches, self._same_partition)
        self._producer.refused()
        self.isolate(self._micro_batches_left + len(produced_batches))

    def begin(self, batch: MicroBatch) -> None:
        """Start producing `batch`."""
        self.active = self.applies_to(batch)

    def end(self, whole: bool) -> None:
        """End producing a batch. `whole`: the micro-batch has no rest."""
        if whole:
            self._micro_batches_left = max(0, self._micro_batches_left - 1)
        if not self._micro_batches_left:
            self._taken.clear()

    def send(self, produced: ProducedBatch, topic: str, record: ProducerRecord, item: Item) -> bool:
        """Send a record. False if the broker refused it, which is known only while `active`.

        Raises `StreamError` if the producer cannot take the record.
        """
        if (topic, place_of(item)) in self._taken:
            return True
        try:
            ack = self._producer.send(topic, record)
            if self.active and not self._acknowledged(ack):
                self._late = _LateAck(ack, topic, item, record)
            elif self.active and topic == self._dead_letter:
                self._dead_letters_accepted = True
        except KafkaError as error:
            if not (self.active and isinstance(error, RECORD_ERRORS)):
                raise stream_error(f"topic {topic} cannot be written", error) from error
            self._requirements.refused(topic, item, record, error)
            self._producer.refused()
            return False
        produced.expect(topic, [item], [ack], record.size)
        return True

    def _acknowledged(self, ack: Any) -> bool:
        """Wait for the acknowledgement; False after the timeout. Raises the broker's error."""
        try:
            ack.get(self._ack_timeout_s)
        except KafkaTimeoutError:
            if ack.is_done:
                raise
            return False
        return True
