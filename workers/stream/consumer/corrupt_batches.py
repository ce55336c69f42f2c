"""What kafka-python's consumer hangs on: corrupt batches in the log, and partitions that were paused.

Read in kafka-python 3.0.12, consumer/fetcher.py:

* A batch that fails its checksum raises inside the generator of `PartitionRecords`. What is left is a spent generator
  that never counts as drained: `fetched_records`, in the next poll, turns for ever.
* The exception itself is dropped when the partition is paused or sought before that poll.
* A batch with a wrong length raises in `_parse_fetched_data`, at each fetch again.
* Records of a paused partition that was read in part are parked, and come back only into an empty slot
  (`_next_partition_records is None`). What was read to its end stays in the slot, as long as others are read: the
  partition gives nothing more, and is not fetched either, until the assignment changes. Seen after an outage.

So spent records leave the slot before each poll, and here nothing raises. A corrupt batch ends its fetch, the records
before it are delivered, and `corrupt` tells the place. Whoever polls pauses the partition then, or it is fetched again
and again. What cannot be read of a batch with the right checksum ends nothing: see `record_batch.reader`.

A poll hands out by number alone, and what is counted in bytes is the next fetch. So here `room` says what the next poll
may bring. What does not fit stays in the batch that was fetched, whose partition is not fetched as long.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CorruptRecordError, KafkaError
from kafka.structs import TopicPartition

from labelstream.workers.settings import MAX_BATCH_BYTES
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.record_batch.limits import weight
from labelstream.workers.stream.record_batch.reader import RecordBatches, UnpackedRecords


class CorruptBatch(NamedTuple):
    """`first`: the offset where reading ends; `end`: that behind the batch, None where its header does not tell."""

    first: int
    end: int | None
    problem: str


class Fetching:
    """Changes how `consumer` reads batches; call it from the thread that polls.

    `corrupt` is the caller's to empty, `room` to set before each poll.
    """

    def __init__(self, consumer: KafkaConsumer, max_batch_bytes: int = MAX_BATCH_BYTES) -> None:
        consumer_: Any = consumer
        self._subscription, fetcher = consumer_._subscription, consumer_._fetcher
        self._fetcher, self._fetched_records, self._append = fetcher, fetcher.fetched_records, fetcher._append
        fetcher.fetched_records = self._from_an_empty_slot
        fetcher._append = self._append_what_fits
        self.room = PollBudget()
        self.corrupt: dict[TopicPartition, CorruptBatch] = {}
        self._parse = fetcher._parse_fetched_data
        fetcher._parse_fetched_data = self._guarded_parse
        fetcher.PartitionRecords = partial(_GuardedRecords, self.corrupt, lambda: self.room, max_batch_bytes)

    def position(self, partition: TopicPartition) -> int | None:
        """The offset that is fetched next, None where it is not known. Never asks a broker, as the consumer's does."""
        state = self._subscription.assignment.get(partition)
        return state.position.offset if state is not None and state.position is not None else None

    def _from_an_empty_slot(self, *arguments: Any, **more: Any) -> Any:
        if not self._fetcher._next_partition_records:
            self._fetcher._next_partition_records = None
        return self._fetched_records(*arguments, **more)

    def _append_what_fits(self, drained: Any, part: Any, max_records: int, update_offsets: bool) -> int:
        """A full room ends the poll as `max_records` do."""
        count = self._append(drained, part, max_records, update_offsets)
        return max_records if self.room.full else count

    def _guarded_parse(self, fetch: Any) -> Any:
        try:
            return self._parse(fetch)
        except KafkaError as error:
            # A plain KafkaError: bytes, but no whole batch in them. CorruptRecordError: the broker's own finding.
            if type(error) is not KafkaError and not isinstance(error, CorruptRecordError):
                raise
            self.corrupt[fetch.topic_partition] = CorruptBatch(fetch.fetched_offset, None, type(error).__name__)
            return None


class _GuardedRecords(UnpackedRecords):
    any_headers = False

    def __init__(
        self, corrupt: dict[TopicPartition, CorruptBatch], room: Callable[[], PollBudget], *args: Any, **more: Any
    ) -> None:
        self._corrupt, self._room = corrupt, room
        self._left: ConsumerRecord | None = None  # it was read, and found no room
        super().__init__(*args, **more)

    def take(self, n: int | None = None) -> list[ConsumerRecord]:
        """The next ones, `n` at most, for which there is room."""
        takes, records, found = self._room().takes, self.record_iterator, list[ConsumerRecord]()
        if self._left is not None:
            records, self.next_fetch_offset = chain((self._left,), records), self._left.offset + 1
            self._left = None
        for record in islice(records, n):
            if not takes(weight(record)):
                self._left, self.next_fetch_offset = record, record.offset
                break
            found.append(record)
        return found

    def _unpack_records(self, tp: TopicPartition, records: Any, *deserializers: Any) -> Iterator[ConsumerRecord]:
        try:
            yield from super()._unpack_records(tp, records, *deserializers)
        except Exception as error:  # the header may be what is corrupt, so of whatever kind
            position = self.next_fetch_offset
            self._corrupt[tp] = CorruptBatch(position, _end(self.batches, position), type(error).__name__)
            self.drain()


def _end(batches: RecordBatches, position: int) -> int | None:
    """The offset behind the current batch. Its header may be what is corrupt: a believable end is the nearest."""
    ends, batch = [], batches.current
    if batch is not None and batch.consistent() and (batch.magic < 2 or batch.records_count):
        ends.append(batch.next_offset)
    try:
        following = batches.next_batch()
    except Exception:
        following = None
    # A compressed set of the old formats does not tell where it begins.
    if following is not None and (following.magic == 2 or not following.compression_type):
        ends.append(following.base_offset)
    return min((end for end in ends if end > position), default=None)
