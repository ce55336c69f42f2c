"""Corrupt batches: whatever byte is wrong, reading ends in front of it, with its place and without an exception."""

from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.consumer.fetcher import CompletedFetch
from kafka.protocol.consumer import FetchResponse
from kafka.record import MemoryRecords, MemoryRecordsBuilder
from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.fetching import CorruptBatch, Fetching, _GuardedRecords
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.record_batch.limits import RECORD_BYTES
from tests.support import raw_batches as raw
from tests.support.fakes import UNREACHABLE

A = TopicPartition("t", 0)
MAGIC_AT, PER_BATCH = 16, 5


def batch(first: int, compression: int = 0) -> bytes:
    builder = MemoryRecordsBuilder(magic=2, compression_type=compression, batch_size=1 << 20)
    for number in range(PER_BATCH):
        builder.append(timestamp=1, key=None, value=b"value %d" % number, headers=[])
    builder.close()
    return first.to_bytes(8) + bytes(builder.buffer())[8:]  # a broker's job, outside of the checksum


def read(log: bytes | bytearray) -> tuple[list[int], int, dict[TopicPartition, CorruptBatch]]:
    """The offsets that come out, the offset that is fetched next, and what is corrupt."""
    corrupt: dict[TopicPartition, CorruptBatch] = {}
    records = _GuardedRecords(corrupt, PollBudget, 1 << 20, 0, A, MemoryRecords(log))
    offsets: list[int] = []
    for _ in range(100):
        if not records:
            return offsets, records.next_fetch_offset, corrupt
        offsets += [record.offset for record in records.take(2)]
    raise AssertionError("it never ends")


LOG = batch(0) + batch(5) + batch(10)


def test_nothing_is_wrong() -> None:
    assert read(LOG) == (list(range(15)), 15, {})


@pytest.mark.parametrize("at", range(MAGIC_AT, len(batch(5))))
def test_any_byte_from_the_format_on(at: int) -> None:
    log = bytearray(LOG)
    log[len(batch(0)) + at] ^= 0xFF
    assert read(log) == ([0, 1, 2, 3, 4], 5, {A: CorruptBatch(5, 10, "CorruptRecordError")})


@pytest.mark.parametrize("field", [23, 57], ids=["last_offset_delta", "records_count"])
def test_an_end_is_not_believed_when_the_header_contradicts_itself(field: int) -> None:
    last = bytearray(batch(5))
    last[field : field + 4] = (-7).to_bytes(4, signed=True)
    assert read(batch(0) + last)[2] == {A: CorruptBatch(5, None, "CorruptRecordError")}


def test_a_format_that_nobody_knows() -> None:
    """Its checksum may stand anywhere: that of v2 is right here, and does not count."""
    log = bytearray(LOG)
    log[len(batch(0)) + MAGIC_AT] = 3
    assert read(log) == ([0, 1, 2, 3, 4], 5, {A: CorruptBatch(5, 10, "CorruptRecordError")})


def test_a_corrupt_message_of_the_old_formats_costs_itself_alone() -> None:
    """The set behind it begins at 6, and says 8: going on there would lose two."""
    later = raw.message_set([raw.message(n, b"v") for n in range(3)], 8, codec=1)
    corrupt = bytearray(raw.message(5, b"value"))
    corrupt[-1] ^= 1
    assert read(batch(0) + corrupt + later) == ([0, 1, 2, 3, 4], 5, {A: CorruptBatch(5, 6, "CorruptRecordError")})


@pytest.mark.parametrize("length", [0, 5, -1, -60])
def test_a_length_that_is_none(length: int) -> None:
    log: Any = bytearray(LOG)
    log[len(batch(0)) + 8 : len(batch(0)) + 12] = length.to_bytes(4, signed=True)
    offsets, position, corrupt = read(log)
    assert (offsets, position) == ([0, 1, 2, 3, 4], 5)
    assert corrupt[A].first == 5


B = TopicPartition("t", 1)


@pytest.fixture
def consumer() -> Iterator[Any]:
    """Of both partitions, at their start; never connected."""
    consumer: Any = KafkaConsumer(**UNREACHABLE)
    consumer.assign([A, B])
    for partition in (A, B):
        consumer.seek(partition, 0)
        consumer._subscription.assignment[partition].highwater = 0
    yield consumer
    consumer.close(autocommit=False, timeout_ms=0)


def fetched(consumer: Any, partition: TopicPartition, first: int) -> None:
    """A broker's answer for `partition` is there: one batch."""
    data = FetchResponse.FetchableTopicResponse.PartitionData(
        partition_index=partition.partition,
        error_code=0,
        high_watermark=100,
        last_stable_offset=100,
        aborted_transactions=[],
        records=batch(first),
    )
    aggregator: Any = type("Aggregator", (), {"record": lambda *_: None})()
    consumer._fetcher._completed_fetches.append(CompletedFetch(partition, first, 11, data, aggregator))


def taken(consumer: Any, max_records: int = 100) -> dict[TopicPartition, list[int]]:
    records, _ = consumer._fetcher.fetched_records(max_records)
    return {partition: [record.offset for record in found] for partition, found in records.items()}


def test_partition_paused_in_mid_batch_resumes_beside_others(consumer: Any) -> None:
    """Hazard: what is left of its batch waits for an empty slot, in which the other's spent records stay."""
    Fetching(consumer)
    fetched(consumer, A, 0)
    assert taken(consumer, max_records=2) == {A: [0, 1]}
    consumer.pause(A)
    fetched(consumer, B, 0)
    assert taken(consumer) == {B: [0, 1, 2, 3, 4]}
    consumer.resume(A)
    assert taken(consumer) == {A: [2, 3, 4]}
    assert A in consumer._fetcher._fetchable_partitions()


def poll(
    consumer: Any, fetching: Fetching, room: PollBudget, max_records: int = 100
) -> dict[TopicPartition, list[int]]:
    fetching.room = room
    return taken(consumer, max_records)


ONE = RECORD_BYTES + len(b"value 0") - 2  # neither key nor headers


def test_what_finds_no_room_stays_in_what_was_fetched(consumer: Any) -> None:
    """Over the end of a batch and from one partition to the next; the position is that of what was handed out."""
    fetching = Fetching(consumer)
    fetched(consumer, A, 0)
    fetched(consumer, B, 0)
    assert poll(consumer, fetching, PollBudget(2 * ONE + 1, 0)) == {A: [0, 1]}
    assert (fetching.position(A), fetching.position(B)) == (2, 0)
    assert poll(consumer, fetching, PollBudget(ONE - 1, 0)) == {}
    assert fetching.position(A) == 2
    assert A not in consumer._fetcher._fetchable_partitions()
    assert poll(consumer, fetching, PollBudget(4 * ONE, 0)) == {A: [2, 3, 4], B: [0]}
    assert poll(consumer, fetching, PollBudget(), max_records=2) == {B: [1, 2]}
    assert poll(consumer, fetching, PollBudget()) == {B: [3, 4]}
    assert (fetching.position(A), fetching.position(B)) == (5, 5)
    assert poll(consumer, fetching, PollBudget()) == {}
    assert A in consumer._fetcher._fetchable_partitions()


def test_one_record_passes_where_the_room_says_so(consumer: Any) -> None:
    fetching = Fetching(consumer)
    fetched(consumer, A, 0)
    fetched(consumer, B, 0)
    for offset in range(PER_BATCH):
        assert poll(consumer, fetching, PollBudget(1)) == {A: [offset]}
    assert poll(consumer, fetching, PollBudget(1)) == {B: [0]}


def test_what_is_left_over_survives_a_pause_and_not_a_seek(consumer: Any) -> None:
    fetching = Fetching(consumer)
    fetched(consumer, A, 0)
    assert poll(consumer, fetching, PollBudget(ONE)) == {A: [0]}
    consumer.pause(A)
    assert poll(consumer, fetching, PollBudget()) == {}
    consumer.resume(A)
    assert poll(consumer, fetching, PollBudget(ONE)) == {A: [1]}
    consumer.seek(A, 4)
    assert poll(consumer, fetching, PollBudget()) == {}
    fetched(consumer, A, 4)
    assert poll(consumer, fetching, PollBudget()) == {A: [4, 5, 6, 7, 8]}


@pytest.mark.parametrize("left", range(PER_BATCH))
def test_a_corrupt_batch_behind_what_found_no_room(left: int) -> None:
    log = bytearray(LOG)
    log[len(batch(0)) + 60] ^= 0xFF
    corrupt: dict[TopicPartition, CorruptBatch] = {}
    room = PollBudget((PER_BATCH - left) * ONE, 0)
    records = _GuardedRecords(corrupt, lambda: room, 1 << 20, 0, A, MemoryRecords(log))
    assert len(records.take(100)) == PER_BATCH - left
    assert (records.next_fetch_offset, bool(corrupt)) == (PER_BATCH - left, left == 0)
    room = PollBudget()
    if left:
        assert [record.offset for record in records.take(100)] == list(range(PER_BATCH - left, PER_BATCH))
    assert corrupt == {A: CorruptBatch(5, 10, "CorruptRecordError")}
    assert records.next_fetch_offset == 5
