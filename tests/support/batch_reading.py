"""Reads a log's bytes with the product's reader: the records, or the reasons of its dead letters."""

from collections.abc import Sequence
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from kafka.record import MemoryRecords
from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.fetching import CorruptBatch, _GuardedRecords
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.record_batch.unread import Unread
from tests.support.raw_batches import batch, record

MIB = 1 << 20
CODECS = (1, 2, 3, 4)
BEFORE, AFTER = [record(0, b"before")], [record(0, b"after")]


def read(log: bytes, at: int = 0, limit: int = MIB, **more: Any) -> tuple[list[ConsumerRecord], int]:
    """The records, and the offset that is fetched next. Nothing may halt."""
    corrupt: dict[TopicPartition, CorruptBatch] = {}
    records = _GuardedRecords(corrupt, PollBudget, limit, at, TopicPartition("t", 0), MemoryRecords(log), **more)
    found: list[ConsumerRecord] = []
    while records:
        found += records.take(3)
        assert len(found) < 10_000
    assert not corrupt
    return found, records.next_fetch_offset


def between(records: Sequence[bytes], last: int, **more: Any) -> list[ConsumerRecord]:
    """Read a batch of offsets 1 to `last` between two good batches, both of which must be read."""
    log = batch(BEFORE, 0) + batch(records, 1, **more) + batch(AFTER, last + 1)
    (before, *found, after), position = read(log)
    assert (before.value, after.value) == (b"before", b"after")
    assert [kept.offset for kept in found] == list(range(1, last + 1))
    assert position == last + 2
    return found


def reasons(found: Sequence[ConsumerRecord]) -> list[Any]:
    """Each record's value, or the reason why it has none."""
    return [kept.value.reason if isinstance(kept.value, Unread) else kept.value for kept in found]
