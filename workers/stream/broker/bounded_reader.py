"""Bounded reader: reads a topic up to its current end, outside of any group and without commits."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.connection import translate_kafka_errors
from labelstream.workers.stream.record_batch.reader import read_any_record

QUIET_S = 10.0  # the end is known: longer silence means that the end cannot be reached


def make_reader(config: dict[str, Any], from_beginning: bool = True) -> KafkaConsumer:
    """A read_committed consumer without group and partitions.

    Unreadable records of a batch with a right checksum have `Unread` values.
    """
    consumer = KafkaConsumer(
        **config,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest" if from_beginning else "latest",
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )
    read_any_record(consumer)
    return consumer


def partitions_of(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """All partitions of a topic; empty if the topic does not exist. Raises KafkaError."""
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]


def read_up_to(
    kafka: KafkaSettings, consumer: KafkaConsumer, stops: Mapping[TopicPartition, int]
) -> Iterator[ConsumerRecord]:
    """The records from the consumer's positions up to the offset `stops` of each partition.

    Checks positions instead of counting records, because compaction, aborted transactions and control records leave
    gaps. Raises StartError.
    """
    quiet_since = time.monotonic()
    while True:
        with translate_kafka_errors(kafka):
            if all((consumer.position(partition, timeout_ms=1_000) or 0) >= stop for partition, stop in stops.items()):
                return
            found = consumer.poll(timeout_ms=200)
        for partition, records in found.items():
            yield from (record for record in records if record.offset < stops.get(partition, 0))
        if found:
            quiet_since = time.monotonic()  # not the time of the poll: the caller may be slow
        elif time.monotonic() - quiet_since > QUIET_S:
            raise StartError(
                f"no record for {QUIET_S:.0f} s before the end of the topic; is a broker down, or a transaction open?"
            )
