"""Which record does the broker refuse? Found by sending record by record.

A producer is beyond repair once the broker has refused a record for itself, and fails every other record in it: only
alone can the one at fault be told from its neighbours.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from kafka.errors import KafkaError, KafkaTimeoutError

from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.codec.encode import ProducerRecord
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.produced_batch import (
    ProducedBatch,
    TopicPartitionOffset,
    acknowledged,
    place_of,
)
from labelstream.workers.stream.producer.producers import Producer
from labelstream.workers.stream.producer.send_errors import OWN, stream_error
from labelstream.workers.stream.producer.topic_rules import TopicRules

ACK_TIMEOUT_S = 5.0  # the loop stands so long; what is acknowledged later is waited for by turning


class _LateAck(NamedTuple):
    """A record that was sent alone, and whose acknowledgement did not come soon."""

    ack: Any
    topic: str
    item: Item
    record: ProducerRecord


class RefusalIsolation:
    """Sends single records with `producer`, and tells `rules` which of them were refused. Used by one thread.

    After a refusal, micro-batches go one by one: each record is acknowledged before the next is sent. So do those with
    dead letters until the dead-letter topic has taken one: where it takes none the stream ends, and what was sent
    behind them would come out again with each new start.

    `active`: the micro-batch that is being produced goes one by one.
    """

    def __init__(
        self, settings: PipelineSettings, producer: Producer, rules: TopicRules, ack_timeout_s: float = ACK_TIMEOUT_S
    ) -> None:
        self._dead_letter, self._same_partition = settings.dead_letter, settings.output_partition == "same"
        self._producer, self._rules, self._ack_timeout_s = producer, rules, ack_timeout_s
        self.active = False
        self._micro_batches_left = 0
        self._dead_letters_accepted = False
        self._late: _LateAck | None = None
        self._taken: set[tuple[str, TopicPartitionOffset]] = set()  # what the broker has of all that is sent again

    def waits(self) -> bool:
        """Is a record that was sent alone not acknowledged yet? Then nothing may follow it."""
        return self._late is not None and not self._late.ack.is_done

    def applies_to(self, batch: MicroBatch) -> bool:
        """Will it go one by one?"""
        return self._micro_batches_left > 0 or (not self._dead_letters_accepted and batch.has_dead_letters())

    def isolate(self, micro_batches: int) -> None:
        """So many micro-batches go one by one from now on."""
        late, self._late = self._late, None
        if late is not None and late.ack.is_done and isinstance(late.ack.exception, OWN):
            self._rules.refused(late.topic, late.item, late.record, late.ack.exception)
        self._micro_batches_left = micro_batches

    def send_again(self, produced_batches: Sequence[ProducedBatch]) -> None:
        """Their micro-batches will be produced again, one by one: what the broker does not have of them, in order.

        Every acknowledgement must be there. Begins with a new producer.
        """
        self._taken |= acknowledged(produced_batches, self._same_partition)
        self._producer.refused()
        self.isolate(self._micro_batches_left + len(produced_batches))

    def begin(self, batch: MicroBatch) -> None:
        """`batch` is produced now."""
        self.active = self.applies_to(batch)

    def end(self, whole: bool) -> None:
        """It was sent. `whole`: nothing of the micro-batch is left."""
        if whole:
            self._micro_batches_left = max(0, self._micro_batches_left - 1)
        if not self._micro_batches_left:
            self._taken.clear()

    def send(self, produced: ProducedBatch, topic: str, record: ProducerRecord, item: Item) -> bool:
        """False: the broker refused it for itself, which is known only while `active`.

        Raises `StreamError` when the producer cannot take it.
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
            if not (self.active and isinstance(error, OWN)):
                raise stream_error(f"topic {topic} cannot be written", error) from error
            self._rules.refused(topic, item, record, error)
            self._producer.refused()
            return False
        produced.expect(topic, [item], [ack], record.size())
        return True

    def _acknowledged(self, ack: Any) -> bool:
        """Wait for the broker's word for a moment. Raises its refusal."""
        try:
            ack.get(self._ack_timeout_s)
        except KafkaTimeoutError:
            if ack.is_done:
                raise
            return False
        return True
