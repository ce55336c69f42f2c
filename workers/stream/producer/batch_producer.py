"""kafka-python's producer with one more way in: all results of a micro-batch at once.

`KafkaProducer.send` takes 35 us of CPU a record, of which the record's own bytes take 6. The rest is the same for all
records of one topic (checks, metadata, texts for a log that is off, locks), and a future with two callbacks for each.
`send_batch` does that once for a partition; the bytes are written by kafka-python's own builder, into its own batches,
which its sender drains, retries and splits as always.

Read in kafka-python 3.0.12 (producer/kafka.py, record_accumulator.py, producer_batch.py): what `send_batch` keeps
of it.

* A batch that is drained has a closed builder, whose `append` returns None: the next record opens a new batch.
* `abort_incomplete_batches` waits for `_appends_in_progress`, or a batch that comes late would never be told.
* A broker that finds a batch too large has it split: each record's future is told its new batch by `rebind`, in order,
  and the old batch's own future never ends. So there is one `Ack` a record, though it needs no lock of its own.
* `maybe_add_partition_to_transaction` raises where a transaction cannot go on: first comes that, then the records.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kafka import KafkaProducer
from kafka.errors import IllegalStateError, KafkaTimeoutError, MessageSizeTooLargeError
from kafka.partitioner.default import murmur2
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

from labelstream.workers.stream.codec.encode import ProducerRecord


class Acknowledgement(Protocol):
    """What is asked of a record that was sent; kafka-python's FutureRecordMetadata has it as well."""

    @property
    def is_done(self) -> bool: ...
    @property
    def exception(self) -> BaseException | None: ...
    def failed(self) -> bool: ...
    def add_both(self, call: Callable[[Any], object], /) -> object: ...


class Ack:
    """The `index`-th record of the batch whose future is `batch`."""

    __slots__ = ("_batch", "_calls", "_index")

    def __init__(self, batch: Any, index: int) -> None:
        self._batch, self._index = batch, index
        self._calls: tuple[Callable[[Any], object], ...] = ()

    @property
    def is_done(self) -> bool:
        return self._batch.is_done

    @property
    def exception(self) -> BaseException | None:
        """Why the broker does not have it; None while it is not known."""
        batch = self._batch
        if not batch.is_done or batch.exception is not None:
            return batch.exception
        _, _, errors = batch.value
        if errors is None:
            return None
        error = errors(self._index)
        return error() if isinstance(error, type) else error

    def failed(self) -> bool:
        return self.exception is not None

    def add_both(self, call: Callable[[Any], object], /) -> None:
        """Call it, with whatever argument, when this is done: at least once, from whatever thread."""
        self._calls += (call,)  # before a look at the batch: a split meanwhile calls it twice, never not at all
        self._batch.add_both(call)

    def rebind(self, batch: Any, index: int) -> None:
        """As FutureRecordMetadata's, for a batch that was split: whoever waits for the old one's future looks again."""
        old, self._batch, self._index = self._batch, batch, index
        for call in self._calls:
            batch.add_both(call)
        old._latch.set()


class BatchProducer(KafkaProducer):
    """`compression_type`, `batch_size` and everything else as KafkaProducer's; no serializers, its own partitioner."""

    def send_batch(self, topic: str, records: Sequence[ProducerRecord]) -> list[Acknowledgement]:
        """Send them, in their order within each partition: by their keys, where they name no partition.

        One acknowledgement each, in the order of `records`. Raises kafka's errors: MessageSizeTooLargeError,
        KafkaTimeoutError or an authorization error where the topic's partitions are not known, IllegalStateError when
        this was closed; and ValueError for a partition that is not there. Nothing is sent then. Some of it may be where
        a transaction is in an error state, KafkaError or IllegalStateError: it has to be aborted.
        """
        producer: Any = self
        if producer._closed:
            raise IllegalStateError("the producer is closed")
        limit = producer.config["max_request_size"]
        for record in records:
            if record.size() > limit:
                raise MessageSizeTooLargeError(f"a record of up to {record.size()} bytes, the most are {limit}")
        acks: dict[int, Acknowledgement] = {}
        now_ms, wake = int(time.time() * 1000), False
        for number, mine in self._by_partition(topic, records).items():
            partition = TopicPartition(topic, number)
            manager = producer._transaction_manager
            if manager is not None and manager.is_transactional():
                manager.maybe_add_partition_to_transaction(partition)
            found: list[Acknowledgement] = []
            wake |= self._append(partition, [records[index] for index in mine], now_ms, found)
            acks.update(zip(mine, found, strict=True))
        if wake:
            producer._sender.wakeup()
        return [acks[index] for index in range(len(records))]

    def _by_partition(self, topic: str, records: Sequence[ProducerRecord]) -> dict[int, list[int]]:
        """Which of `records` go to each partition: by key as kafka-python's DefaultPartitioner chooses, and Java's;
        without a key by chance."""
        producer: Any = self
        known: set[int] = producer.partitions_for(topic)
        if not known:
            raise KafkaTimeoutError(f"the partitions of {topic} are not known")
        numbers = sorted(known)
        available = sorted(producer._metadata.available_partitions_for_topic(topic) or ()) or numbers
        found: dict[int, list[int]] = {}
        for index, record in enumerate(records):
            number, key = record.partition, record.key
            if number is not None:
                if number not in known:
                    raise ValueError(f"{topic} has no partition {number}")
            elif key is not None:
                number = numbers[(murmur2(key) & 0x7FFFFFFF) % len(numbers)]
            else:
                number = random.choice(available)  # noqa: S311
            found.setdefault(number, []).append(index)
        return found

    def _append(
        self, partition: TopicPartition, records: list[ProducerRecord], now_ms: int, acks: list[Acknowledgement]
    ) -> bool:
        """As RecordAccumulator.append for each. Is there a batch that the sender does not know, or a full one?"""
        accumulator: Any = self._accumulator  # type: ignore[attr-defined]
        accumulator._appends_in_progress.increment()
        try:
            with accumulator._tp_lock(partition):
                if accumulator._closed:
                    raise IllegalStateError("the producer is closed")
                queue = accumulator._batches[partition]
                known = len(queue)
                batch = queue[-1] if queue else _new_batch(accumulator, partition, queue)
                for value, key, headers, _, timestamp_ms in records:
                    at_ms = now_ms if timestamp_ms is None else timestamp_ms
                    written = batch.records.append(at_ms, key, value, headers)
                    if written is None:
                        batch = _new_batch(accumulator, partition, queue)
                        written = batch.records.append(at_ms, key, value, headers)
                    ack = Ack(batch.produce_future, written.offset)
                    batch._record_futures.append(ack)
                    acks.append(ack)
                return len(queue) > known or len(queue) > 1 or batch.records.is_full()
        finally:
            accumulator._appends_in_progress.decrement()


def _new_batch(accumulator: Any, partition: TopicPartition, queue: Any) -> Any:
    config = accumulator.config
    batch: Any = ProducerBatch(
        partition, MemoryRecordsBuilder(config["message_version"], config["compression_attrs"], config["batch_size"])
    )
    queue.append(batch)
    accumulator._incomplete.add(batch)
    return batch
