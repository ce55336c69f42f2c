"""Records produced for one micro-batch, and their acknowledgements."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.classifier import Answered, Prediction, RecordError
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.text_list import TextAnswers
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.kafka_producer.batch_producer import Acknowledgement
from labelstream.workers.stream.producer.send_errors import stream_error
from labelstream.workers.stream.stats import ABSTAINED, OTHER, ROUTE, Tally

TopicPartitionOffset = tuple[str, int, int]  # topic, partition and offset of an input record


class Sent(NamedTuple):
    """A record sent to `topic` for `item`."""

    topic: str
    item: Item
    ack: Acknowledgement


class ProducedBatch:
    """The sent records of a micro-batch and their acknowledgements, in the order of sending.

    `size`: bytes sent. `rest`: items of the micro-batch that did not fit; they are produced next. `first_dead`: the
    place of the first dead letter's record by reason.
    """

    def __init__(
        self, batch: MicroBatch, rest: MicroBatch | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.batch, self.rest = batch, rest
        self.size = 0
        self.tally = Tally()
        self.first_dead: dict[str, TopicPartitionOffset] = {}
        self.sent_at = clock()
        self.sent: list[Sent] = []
        self._acknowledged = 0
        self._refusal: RecordRefused | None = None

    def expect(self, topic: str, items: Iterable[Item], acks: Iterable[Acknowledgement], size: int) -> None:
        """Add the records of `items` sent to `topic`, `size` bytes in all."""
        self.size += size
        self.sent += [Sent(topic, item, ack) for item, ack in zip(items, acks, strict=True)]

    def count_result(self, item: Item, answer: Answered | TextAnswers | None, is_dropped: bool = False) -> None:
        """Count the item's result. Without an answer, or without a record for it, the item counts as skipped."""
        tally = self.tally
        if answer is None or is_dropped:
            tally.skipped[item.progress.name, item.skipped or ROUTE] += 1
        else:
            tally.results[item.progress.name] += 1
        if answer is None:
            return
        abstained = answer.abstained
        tally.abstained += abstained
        if isinstance(answer, Prediction):
            tally.labels[item.model, ABSTAINED if abstained else _label(item, answer)] += 1
        elif isinstance(answer, TextAnswers):
            self._count_texts(item, answer)

    def _count_texts(self, item: Item, answer: TextAnswers) -> None:
        for text in answer.texts:
            if isinstance(text, Prediction):
                self.tally.labels[item.model, ABSTAINED if text.abstained else _label(item, text)] += 1
            elif isinstance(text, RecordError | Rejection):
                reason = text.fault if isinstance(text, RecordError) else text.reason
                self.tally.failed_texts[reason.value] += 1

    def count_dead_letter(self, item: Item, reason: Reason) -> None:
        """Count the item's dead letter."""
        self.tally.dead_letters[item.progress.name, reason.value] += 1
        self.first_dead.setdefault(reason.value, place_of(item))

    def cut_short(self, refusal: RecordRefused) -> None:
        """Mark the batch as incomplete: an earlier refusal broke the producer. `poll_acks` raises `refusal`."""
        self._refusal = refusal

    def unacknowledged_topic(self) -> str | None:
        """The topic of the first record without an acknowledgement; None if there is none."""
        return next((sent.topic for sent in self.sent[self._acknowledged :] if not sent.ack.is_done), None)

    def on_last_ack(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the last record is acknowledged; earlier records may still be missing."""
        if self.sent:
            self.sent[-1].ack.add_both(lambda _: wake())
        else:
            wake()

    def poll_acks(self) -> bool:
        """Is every record acknowledged? Never blocks.

        Raises `RecordRefused` if the broker refused a record, else `Fenced` or `StreamError`. After an error, the
        offsets of this batch must not be committed.
        """
        while self._acknowledged < len(self.sent):
            ack = self.sent[self._acknowledged].ack
            if not ack.is_done:
                return False
            if ack.failed():
                raise stream_error("a record was not acknowledged", ack.exception)
            self._acknowledged += 1
        if self._refusal is not None:
            raise self._refusal
        return True


class DeadLetterRefused(StreamError):
    """The dead-letter topic refuses every form of `item`'s dead letter. `produced`: all records sent before."""

    def __init__(self, text: str, produced: ProducedBatch, item: Item) -> None:
        super().__init__(text)
        self.produced = produced
        batch = produced.batch
        before = batch.items[: next(at for at, other in enumerate(batch.items) if other is item)]
        ends = {other.progress.partition: (other.progress, other.record.offset) for other in before}
        batch.last_offsets = list(ends.values())


def _label(item: Item, answer: Prediction) -> str:
    """The label to count; OTHER for labels of the message itself, because no metric shows a message's text."""
    own = item.message is not None and item.message.candidate_labels is not None
    return OTHER if own else answer.labels[0]


def place_of(item: Item) -> TopicPartitionOffset:
    """Topic, partition and offset of the item's record."""
    return item.record.topic, item.record.partition, item.record.offset


def acknowledged(
    produced_batches: Iterable[ProducedBatch], same_partition: bool
) -> set[tuple[str, TopicPartitionOffset]]:
    """(topic, input offset) of all records that need not be sent again. All acknowledgements must be known.

    Excludes acknowledged records after a failed record of the same key, or of the same input partition if there is no
    key or with `same_partition`. They must be sent again after the failed record, to keep the order.
    """
    failed: set[tuple[str, object]] = set()
    taken: set[tuple[str, TopicPartitionOffset]] = set()
    for sent in (sent for produced in produced_batches for sent in produced.sent):
        key = None if same_partition else sent.item.record.key
        order_key = sent.topic, place_of(sent.item)[:2] if key is None else key
        if sent.ack.failed():
            failed.add(order_key)
        elif order_key not in failed:
            taken.add((sent.topic, place_of(sent.item)))
    return taken
