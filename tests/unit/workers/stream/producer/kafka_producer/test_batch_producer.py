"""All records of a micro-batch at once: what lies in kafka-python's batches is what `send` would leave there."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.errors import (
    IllegalStateError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    RecordListTooLargeError,
)
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.record.memory_records import MemoryRecords
from kafka.structs import TopicPartition

from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.producer.kafka_producer.batch_producer import Ack, BatchProducer

TOPIC, PARTITIONS = "t", (0, 1, 2, 5)
Found = dict[int, list[list[tuple[Any, ...]]]]

records = st.lists(
    st.builds(
        ProducerRecord,
        value=st.one_of(st.none(), st.binary(max_size=200)),
        key=st.binary(max_size=20),
        headers=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2),
        partition=st.one_of(st.none(), st.sampled_from(PARTITIONS)),
        timestamp_ms=st.integers(946_684_800_000, 2_000_000_000_000),
    ),
    max_size=30,
)


class Offline(BatchProducer):
    """As KafkaProducer's constructor leaves it, but for the network: nobody takes what lies in it."""

    def __init__(self, **more: Any) -> None:
        self.config: Any = {**KafkaProducer.DEFAULT_CONFIG, "api_version": (2, 5), "client_id": "test", **more}
        self._closed, self._transaction_manager = False, None
        self._accumulator = RecordAccumulator(**self.config)
        self._sender = SimpleNamespace(wakeup=lambda: None)
        self._metadata = SimpleNamespace(
            partitions_for_topic=lambda topic: set(PARTITIONS),
            topics=lambda: {TOPIC},
            available_partitions_for_topic=lambda topic: {0, 5},
        )

    def __del__(self) -> None:
        """There is nothing to close."""


def producing(**more: Any) -> Any:
    return Offline(**more)


def batches(producer: Any) -> dict[int, list[Any]]:
    return {partition.partition: list(queue) for partition, queue in producer._accumulator._batches.items() if queue}


def found(producer: Any) -> Found:
    """Of each partition its batches, of each batch its records."""
    return {number: [written(batch) for batch in queue] for number, queue in batches(producer).items()}


def written(batch: Any) -> list[tuple[Any, ...]]:
    batch.records.close()
    return [
        (record.offset, record.timestamp, record.key, record.value, record.headers)
        for written in MemoryRecords(batch.records.buffer())
        for record in written
    ]


@given(records, st.sampled_from([100, 400, 100_000]))
def test_the_same_batches_as_by_turns(sent: list[ProducerRecord], batch_size: int) -> None:
    bulk, by_turns = producing(batch_size=batch_size), producing(batch_size=batch_size)
    acks = bulk.send_batch(TOPIC, sent)
    for record in sent:
        by_turns.send(TOPIC, record.value, record.key, record.headers, record.partition, record.timestamp_ms)
    assert found(bulk) == found(by_turns)
    assert len(acks) == len(sent)
    incomplete = bulk._accumulator._incomplete.all()
    of_future = {batch.produce_future: written(batch) for batch in incomplete}
    for ack, record in zip(acks, sent, strict=True):  # each is that of its own record, whatever the partition
        assert of_future[ack._batch][ack._index][1:4] == (record.timestamp_ms, record.key, record.value)
    assert len(incomplete) == sum(map(len, batches(bulk).values()))
    assert sum(len(batch._record_futures) for batch in incomplete) == len(sent)


def test_a_second_call_goes_on_where_the_first_one_ended() -> None:
    producer = producing()
    one, other = ProducerRecord(b"1", None, [], 1), ProducerRecord(b"2", None, [], 1)
    producer.send_batch(TOPIC, [one])
    producer.send(TOPIC, b"between", None, [], 1)
    producer.send_batch(TOPIC, [other])
    assert [[record[3] for record in batch] for batch in found(producer)[1]] == [[b"1", b"between", b"2"]]


def test_the_sender_is_told_of_new_and_of_full_batches() -> None:
    producer = producing(batch_size=1_000)
    woken: list[int] = []
    producer._sender = SimpleNamespace(wakeup=lambda: woken.append(1))
    small = ProducerRecord(b"v", None, [], 1)
    producer.send_batch(TOPIC, [small])
    assert len(woken) == 1
    producer.send_batch(TOPIC, [small])
    assert len(woken) == 1
    producer.send_batch(TOPIC, [small] * 1_000)
    assert len(woken) == 2
    producer.send_batch(TOPIC, [small, ProducerRecord(b"v", None, [], 2)])
    assert len(woken) == 3


def test_nothing_is_sent_of_what_cannot_be_sent_as_a_whole() -> None:
    producer = producing(max_request_size=1_000)
    good = ProducerRecord(b"v", b"k", [])
    with pytest.raises(MessageSizeTooLargeError):
        producer.send_batch(TOPIC, [good, ProducerRecord(b"v" * 1_000, b"k", [])])
    with pytest.raises(ValueError, match="no partition 3"):
        producer.send_batch(TOPIC, [good, replace(good, partition=3)])
    with pytest.raises(ValueError, match="without a key and a partition"):
        producer.send_batch(TOPIC, [good, ProducerRecord(b"v", None, [])])
    producer._metadata.partitions_for_topic = lambda topic: set()
    with pytest.raises(KafkaTimeoutError):
        producer.send_batch(TOPIC, [good])
    assert found(producer) == {}


def test_a_closed_producer_takes_nothing() -> None:
    producer = producing()
    for closed in (producer, producer._accumulator):
        closed._closed = True
        with pytest.raises(IllegalStateError):
            producer.send_batch(TOPIC, [ProducerRecord(b"v", b"k", [])])
        closed._closed = False
    assert producer._accumulator._appends_in_progress.get() == 0
    assert found(producer) == {}


def test_partition_joins_transaction_before_its_records() -> None:
    producer = producing()
    seen: list[tuple[TopicPartition, int]] = []
    producer._transaction_manager = SimpleNamespace(
        is_transactional=lambda: True,
        maybe_add_partition_to_transaction=lambda partition: seen.append((partition, len(batches(producer)))),
    )
    producer.send_batch(
        TOPIC, [ProducerRecord(b"v", None, [], 5), ProducerRecord(b"v", None, [], 0), ProducerRecord(b"v", None, [], 5)]
    )
    assert seen == [(TopicPartition(TOPIC, 5), 0), (TopicPartition(TOPIC, 0), 1)]


def sent(producer: Any, count: int) -> tuple[list[Ack], Any]:
    acks = producer.send_batch(TOPIC, [ProducerRecord(b"%d" % number, None, [], 1) for number in range(count)])
    [batch] = batches(producer)[1]
    return acks, batch


def test_acknowledged_with_their_batch() -> None:
    producer = producing()
    acks, batch = sent(producer, 3)
    told: list[int] = []
    acks[-1].add_both(lambda _: told.append(1))
    assert not any(ack.is_done or ack.failed() for ack in acks)
    assert told == []
    batch.complete(7, -1)
    assert all(ack.is_done and not ack.failed() and ack.exception is None for ack in acks)
    assert told == [1]
    acks[-1].add_both(lambda _: told.append(2))
    assert told == [1, 2]


def test_each_fails_for_its_own_reason() -> None:
    producer = producing()
    acks, batch = sent(producer, 3)
    told: list[int] = []
    acks[-1].add_both(lambda _: told.append(1))
    reasons = {0: RecordListTooLargeError, 1: NotLeaderForPartitionError("moved"), 2: KafkaTimeoutError()}
    batch.complete_exceptionally(KafkaTimeoutError(), lambda index: reasons[index])
    assert [type(ack.exception) for ack in acks] == [
        RecordListTooLargeError,
        NotLeaderForPartitionError,
        KafkaTimeoutError,
    ]
    assert all(ack.is_done and ack.failed() for ack in acks)
    assert told == [1]


def test_an_end_by_force_fails_them() -> None:
    producer = producing()
    acks, _ = sent(producer, 2)
    producer._accumulator.abort_incomplete_batches()
    assert [type(ack.exception) for ack in acks] == [IllegalStateError] * 2


def test_halves_of_a_batch_that_was_too_large_are_awaited_each() -> None:
    producer = producing()
    acks, whole = sent(producer, 3)
    told: list[int] = []
    acks[-1].add_both(lambda _: told.append(1))
    producer._accumulator._batches[TopicPartition(TOPIC, 1)].popleft()
    whole.records.close()
    assert producer._accumulator.split_and_reenqueue(whole) == 2
    assert whole.produce_future.wait(0)  # or a flush would wait for what never ends
    first, second = batches(producer)[1]
    assert not any(ack.is_done for ack in acks)
    first.complete(0, -1)
    assert [ack.is_done for ack in acks] == [True, True, False]
    assert told == []
    second.complete_exceptionally(MessageSizeTooLargeError(), lambda index: MessageSizeTooLargeError())
    assert [ack.failed() for ack in acks] == [False, False, True]
    assert told == [1]
