"""Workarounds for kafka-python's fetcher: corrupt batches, paused partitions, and a byte limit for polls.

Behavior of kafka-python 3.0.12, consumer/fetcher.py:

* A batch with a wrong checksum raises inside the generator of `PartitionRecords`. The spent generator never counts as
  drained, so that `fetched_records` loops forever in the next poll.
* The exception itself is dropped if the partition is paused or sought before that poll.
* A batch with a wrong length raises in `_parse_fetched_data`, again at each fetch.
* Records of a paused, partly read partition are parked and return only to an empty slot
  (`_next_partition_records is None`). Fully read records stay in the slot while other partitions are read: the
  partition is neither read nor fetched until the assignment changes. Seen after an outage.

Here spent records leave the slot before each poll, and corrupt batches do not raise. A corrupt batch ends its fetch,
earlier records are delivered, and `corrupt` names the offset. The caller must then pause the partition, or the consumer
fetches the batch again and again. Unreadable records with a right checksum are delivered: see `record_batch.reader`.

kafka-python limits a poll by number and a fetch by bytes. `room` limits the bytes of a poll. Records beyond the limit
stay in the fetched batch, and the partition is not fetched meanwhile.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CorruptRecordError, KafkaError
from kafka.structs import TopicPartition

from labelstream.workers.settings.limits import MAX_BATCH_BYTES
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.record_batch.limits import weight
from labelstream.workers.stream.record_batch.reader import RecordBatches, UnpackedRecords


class CorruptBatch(NamedTuple):
    """`first`: the offset where reading ends; `end`: the first offset after the batch, None if unknown."""

    first: int
    end: int | None
    problem: str


class Fetching:
    """Changes how `consumer` reads batches. Use from the thread that polls.

    The caller empties `corrupt`, and sets `room` before each poll.
    """

    def __init__(self, consumer: KafkaConsumer, max_batch_bytes: int = MAX_BATCH_BYTES) -> None:
        consumer_: Any = consumer
        self._subscription, fetcher = consumer_._subscription, consumer_._fetcher
        self._fetcher, self._fetched_records, self._append = fetcher, fetcher.fetched_records, fetcher._append
        fetcher.fetched_records = self._drop_spent_records
        fetcher._append = self._append_in_room
        self.room = PollBudget()
        self.corrupt: dict[TopicPartition, CorruptBatch] = {}
        self._parse = fetcher._parse_fetched_data
        fetcher._parse_fetched_data = self._guarded_parse
        fetcher.PartitionRecords = partial(_GuardedRecords, self.corrupt, lambda: self.room, max_batch_bytes)

    def position(self, partition: TopicPartition) -> int | None:
        """Return the next offset to fetch, None if unknown. Unlike the consumer's method, never asks a broker."""
        state = self._subscription.assignment.get(partition)
        return state.position.offset if state is not None and state.position is not None else None

    def _drop_spent_records(self, *args: Any, **kwargs: Any) -> Any:
        if not self._fetcher._next_partition_records:
            self._fetcher._next_partition_records = None
        return self._fetched_records(*args, **kwargs)

    def _append_in_room(self, drained: Any, part: Any, max_records: int, update_offsets: bool) -> int:
        """End the poll when `room` is full, as `max_records` does."""
        count = self._append(drained, part, max_records, update_offsets)
        return max_records if self.room.full else count

    def _guarded_parse(self, fetch: Any) -> Any:
        try:
            return self._parse(fetch)
        except KafkaError as error:
            # A plain KafkaError: no whole batch in the bytes. CorruptRecordError: the broker's own check.
            if type(error) is not KafkaError and not isinstance(error, CorruptRecordError):
                raise
            self.corrupt[fetch.topic_partition] = CorruptBatch(fetch.fetched_offset, None, type(error).__name__)
            return None


class _GuardedRecords(UnpackedRecords):
    any_headers = False

    def __init__(
        self, corrupt: dict[TopicPartition, CorruptBatch], room: Callable[[], PollBudget], *args: Any, **kwargs: Any
    ) -> None:
        self._corrupt, self._room = corrupt, room
        self._not_fitting: ConsumerRecord | None = None  # was read, but did not fit in `room`
        super().__init__(*args, **kwargs)

    def take(self, n: int | None = None) -> list[ConsumerRecord]:
        """Return the next records: at most `n`, and as many as fit in `room`."""
        takes, records, found = self._room().takes, self.record_iterator, list[ConsumerRecord]()
        if self._not_fitting is not None:
            records, self.next_fetch_offset = chain((self._not_fitting,), records), self._not_fitting.offset + 1
            self._not_fitting = None
        for record in islice(records, n):
            if not takes(weight(record)):
                self._not_fitting, self.next_fetch_offset = record, record.offset
                break
            found.append(record)
        return found

    def _unpack_records(self, tp: TopicPartition, records: Any, *deserializers: Any) -> Iterator[ConsumerRecord]:
        try:
            yield from super()._unpack_records(tp, records, *deserializers)
        except Exception as error:  # a corrupt header can raise any type
            position = self.next_fetch_offset
            self._corrupt[tp] = CorruptBatch(position, _end(self.batches, position), type(error).__name__)
            self.drain()


def _end(batches: RecordBatches, position: int) -> int | None:
    """Return the first offset after the current batch: the smallest candidate, as the header itself may be corrupt."""
    ends, batch = [], batches.current
    if batch is not None and batch.consistent() and (batch.magic < 2 or batch.records_count):
        ends.append(batch.next_offset)
    try:
        following = batches.next_batch()
    except Exception:
        following = None
    # A compressed set of formats v0 and v1 does not tell its first offset.
    if following is not None and (following.magic == 2 or not following.compression_type):
        ends.append(following.base_offset)
    return min((end for end in ends if end > position), default=None)
