"""What one micro-batch sent, and what the broker said to it."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.classifier import Answered, Prediction
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.batch_producer import Acknowledgement
from labelstream.workers.stream.producer.send_errors import stream_error
from labelstream.workers.stream.stats import ABSTAINED, OTHER, Tally

logger = logging.getLogger(__name__)
TopicPartitionOffset = tuple[str, int, int]  # topic, partition and offset of an input record


class Sent(NamedTuple):
    """A record that went to `topic` for `item`."""

    topic: str
    item: Item
    ack: Acknowledgement


class ProducedBatch:
    """An acknowledgement to come for each record of a micro-batch, in the order of sending.

    `size`: of these records, in bytes. `rest`: what there was no room for of a larger micro-batch; it goes next.
    """

    def __init__(
        self, batch: MicroBatch, rest: MicroBatch | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.batch, self.rest = batch, rest
        self.size = 0
        self.tally = Tally()
        self._first_dead: dict[tuple[int, str], int] = {}
        self.sent_at = clock()
        self.sent: list[Sent] = []
        self._acknowledged = 0
        self._refusal: RecordRefused | None = None

    def expect(self, topic: str, items: Iterable[Item], acks: Iterable[Acknowledgement], size: int) -> None:
        """The acknowledgement of each item's record in `topic`, all of which have `size` bytes."""
        self.size += size
        self.sent += [Sent(topic, item, ack) for item, ack in zip(items, acks, strict=True)]

    def count_result(self, item: Item, answer: Answered) -> None:
        """A result of the item goes out."""
        tally, abstained = self.tally, answer.abstained
        tally.results[item.record.partition] += 1
        tally.abstained += abstained
        if isinstance(answer, Prediction):
            tally.labels[item.model, ABSTAINED if abstained else _label(item, answer)] += 1

    def count_dead_letter(self, item: Item, reason: Reason) -> None:
        """A dead letter of the item goes out."""
        kind = item.record.partition, reason.value
        self.tally.dead_letters[kind] += 1
        self._first_dead.setdefault(kind, item.record.offset)

    def log_dead_letters(self, pipeline: str, topic: str) -> None:
        """A line for each reason and partition of the input `topic`."""
        for (partition, reason), offset in self._first_dead.items():
            logger.info(
                "pipeline %s: %d dead letter%s (%s), the first of %s:%d:%d",
                pipeline,
                count := self.tally.dead_letters[partition, reason],
                "" if count == 1 else "s",
                reason,
                topic,
                partition,
                offset,
                extra={"topic": topic, "partition": partition, "offset": offset, "reason": reason},
            )

    def cut_short(self, refusal: RecordRefused) -> None:
        """Not all of it could be sent: an earlier record's refusal has broken the producer. `poll_acks` raises it."""
        self._refusal = refusal

    def unacknowledged_topic(self) -> str | None:
        """The topic of the first record that is not acknowledged; None when all are."""
        return next((sent.topic for sent in self.sent[self._acknowledged :] if not sent.ack.is_done), None)

    def on_last_ack(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the last record's acknowledgement is there; others may still be missing."""
        if self.sent:
            self.sent[-1].ack.add_both(lambda _: wake())
        else:
            wake()

    def poll_acks(self) -> bool:
        """Is every record acknowledged? Never blocks.

        Raises `RecordRefused` when the broker refused a record for itself, `Fenced` or `StreamError` for any other
        refusal: nothing of this batch may be committed then.
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
    """The dead-letter topic takes `item`'s dead letter in no form. `produced`: what was sent before it, as a whole."""

    def __init__(self, text: str, produced: ProducedBatch, item: Item) -> None:
        super().__init__(text)
        self.produced = produced
        batch = produced.batch
        before = batch.items[: next(at for at, other in enumerate(batch.items) if other is item)]
        ends = {other.progress.partition: (other.progress, other.record.offset) for other in before}
        batch.last_offsets = list(ends.values())


def _label(item: Item, answer: Prediction) -> str:
    """The label to count. One that came with the message is the message's text, which shows nowhere."""
    own = item.message is not None and item.message.candidate_labels is not None
    return OTHER if own else answer.labels[0]


def place_of(item: Item) -> TopicPartitionOffset:
    """Where the item's record stands in the input."""
    return item.record.topic, item.record.partition, item.record.offset


def acknowledged(
    produced_batches: Iterable[ProducedBatch], same_partition: bool
) -> set[tuple[str, TopicPartitionOffset]]:
    """The topic and input record of all that need not be sent again; every acknowledgement must be there.

    What the broker has taken behind a failed record of its key, or with `same_partition` of its partition, is not
    among it: it goes again behind that one, or a reader's last value would be an old one.
    """
    failed: set[tuple[str, object]] = set()
    taken: set[tuple[str, TopicPartitionOffset]] = set()
    for sent in (sent for produced in produced_batches for sent in produced.sent):
        lane = sent.topic, sent.item.record.partition if same_partition else sent.item.record.key
        if sent.ack.failed():
            failed.add(lane)
        elif lane not in failed or (lane[1] is None):  # without a key there is no order
            taken.add((sent.topic, place_of(sent.item)))
    return taken
