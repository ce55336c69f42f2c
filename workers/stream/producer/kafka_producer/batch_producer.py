"""KafkaProducer with `send_batch`: sends all results of a micro-batch in one call.

`KafkaProducer.send` takes 35 us of CPU a record, of which writing the record takes 6. The rest repeats the same checks,
metadata, log texts and locks for each record of a topic, and makes a future with two callbacks. `send_batch` does this
once a partition. kafka-python's builder writes the bytes into its own batches, and its sender handles them as usual.

`send_batch` keeps these rules of kafka-python 3.0.12 (producer/kafka.py, record_accumulator.py, producer_batch.py):

* A drained batch has a closed builder, whose `append` returns None: the next record needs a new batch.
* `abort_incomplete_batches` waits for `_appends_in_progress`; otherwise a late batch would never be notified.
* If a broker finds a batch too large, the sender splits it. `rebind` gives each record's future its new batch, and the
  old batch's future never ends. So each record has an `Ack`, which needs no lock.
* `maybe_add_partition_to_transaction` raises if the transaction is in an error state: call it before appending records.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kafka import KafkaProducer
from kafka.errors import IllegalStateError, KafkaTimeoutError, MessageSizeTooLargeError
from kafka.partitioner.default import murmur2
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord


class Acknowledgement(Protocol):
    """Acknowledgement of a sent record; kafka-python's FutureRecordMetadata satisfies the protocol."""

    @property
    def is_done(self) -> bool: ...
    @property
    def exception(self) -> BaseException | None: ...
    def failed(self) -> bool: ...
    def add_both(self, call: Callable[[Any], object], /) -> object: ...


class Ack:
    """Acknowledgement of record `index` of a batch with the future `batch`."""

    __slots__ = ("_batch", "_calls", "_index")

    def __init__(self, batch: Any, index: int) -> None:
        self._batch, self._index = batch, index
        self._calls: tuple[Callable[[Any], object], ...] = ()

    @property
    def is_done(self) -> bool:
        return self._batch.is_done

    @property
    def exception(self) -> BaseException | None:
        """The broker's error; None if the record is acknowledged or its outcome unknown."""
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
        """Call `call` once or more when done, from any thread, with any argument."""
        self._calls += (call,)  # before reading the batch: a concurrent split then calls twice, never zero times
        self._batch.add_both(call)

    def rebind(self, batch: Any, index: int) -> None:
        """Move to a new batch after a split, as FutureRecordMetadata does. Wakes threads that wait for the old one."""
        old, self._batch, self._index = self._batch, batch, index
        for call in self._calls:
            batch.add_both(call)
        old._latch.set()


class BatchProducer(KafkaProducer):
    """KafkaProducer without serializers. `send_batch` uses kafka-python's default partitioning of keys."""

    def send_batch(self, topic: str, records: Sequence[ProducerRecord]) -> list[Acknowledgement]:
        """Send `records` in order within each partition. Returns an acknowledgement for each, in the same order.

        Raises the following errors and sends nothing: MessageSizeTooLargeError; KafkaTimeoutError or an authorization
        error if the topic's partitions are unknown; IllegalStateError if closed; ValueError for an unknown partition
        or a record without key and partition.
        Raises KafkaError or IllegalStateError if the transaction is in an error state: some records may be sent, and
        the transaction must be aborted.
        """
        producer: Any = self
        if producer._closed:
            raise IllegalStateError("the producer is closed")
        limit = producer.config["max_request_size"]
        for record in records:
            if record.size > limit:
                raise MessageSizeTooLargeError(f"record too large: up to {record.size} bytes; the limit is {limit}")
        acks: dict[int, Acknowledgement] = {}
        now_ms, wake = int(time.time() * 1000), False
        for number, indexes in self._by_partition(topic, records).items():
            partition = TopicPartition(topic, number)
            manager = producer._transaction_manager
            if manager is not None and manager.is_transactional():
                manager.maybe_add_partition_to_transaction(partition)
            found: list[Acknowledgement] = []
            wake |= self._append(partition, [records[index] for index in indexes], now_ms, found)
            acks.update(zip(indexes, found, strict=True))
        if wake:
            producer._sender.wakeup()
        return [acks[index] for index in range(len(records))]

    def _by_partition(self, topic: str, records: Sequence[ProducerRecord]) -> dict[int, list[int]]:
        """Indexes of `records` by partition. A key selects the partition as in kafka-python and Java."""
        producer: Any = self
        known: set[int] = producer.partitions_for(topic)
        if not known:
            raise KafkaTimeoutError(f"partitions of topic {topic} are unknown")
        numbers = sorted(known)
        found: dict[int, list[int]] = {}
        for index, record in enumerate(records):
            number, key = record.partition, record.key
            if number is not None:
                if number not in known:
                    raise ValueError(f"{topic} has no partition {number}")
            elif key is not None:
                number = numbers[(murmur2(key) & 0x7FFFFFFF) % len(numbers)]
            else:
                raise ValueError("BUG: a record without a key and a partition")
            found.setdefault(number, []).append(index)
        return found

    def _append(
        self, partition: TopicPartition, records: list[ProducerRecord], now_ms: int, acks: list[Acknowledgement]
    ) -> bool:
        """Append as RecordAccumulator.append does. True if the sender must wake: a new batch, or a full one."""
        accumulator: Any = self._accumulator  # type: ignore[attr-defined]
        accumulator._appends_in_progress.increment()
        try:
            with accumulator._tp_lock(partition):
                if accumulator._closed:
                    raise IllegalStateError("the producer is closed")
                queue = accumulator._batches[partition]
                known = len(queue)
                batch = queue[-1] if queue else _new_batch(accumulator, partition, queue)
                for record in records:
                    at_ms = now_ms if record.timestamp_ms is None else record.timestamp_ms
                    written = batch.records.append(at_ms, record.key, record.value, record.headers)
                    if written is None:
                        batch = _new_batch(accumulator, partition, queue)
                        written = batch.records.append(at_ms, record.key, record.value, record.headers)
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
