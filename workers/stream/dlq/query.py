"""Find selected dead letters without reading the whole topic."""

from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.bounded_reader import read_up_to
from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors
from labelstream.workers.stream.dlq.dead_letters import DeadLetter, Selection

Bounds = dict[TopicPartition, tuple[int, int]]  # [first offset, end) of each partition


def bounds_of(config: dict[str, Any], kafka: KafkaSettings, consumer: KafkaConsumer, selection: Selection) -> Bounds:
    """Offset ranges that may contain selected dead letters. Raises StartError."""
    with translate_kafka_errors(kafka):
        partitions = list(consumer.assignment())
        starts, stops = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        if selection.since_ms is not None and not is_in_memory(config):  # the in-memory broker has no time index
            found = consumer.offsets_for_times(dict.fromkeys(partitions, selection.since_ms))
            starts = {partition: stops[partition] if at is None else at.offset for partition, at in found.items()}
    bounds: Bounds = {}
    for partition in partitions:
        start, stop = starts[partition], stops[partition]
        if selection.places:
            offsets = [offset for number, offset in selection.places if number == partition.partition]
            start, stop = max(start, min(offsets, default=stop)), min(stop, max(offsets, default=0) + 1)
        if start < stop:
            bounds[partition] = (start, stop)
    return bounds


def find_letters(
    kafka: KafkaSettings, consumer: KafkaConsumer, bounds: Bounds, selection: Selection
) -> Iterator[DeadLetter]:
    """The selected dead letters within `bounds`, in the order of each partition.

    Raises StartError, also after the last one if a selected place has no dead letter.
    """
    missing = set() if selection.since_ms is not None else set(selection.places)
    with translate_kafka_errors(kafka):
        consumer.assign(list(bounds))
        for partition, (start, _) in bounds.items():
            consumer.seek(partition, start)
    for record in read_up_to(kafka, consumer, {partition: stop for partition, (_, stop) in bounds.items()}):
        letter = DeadLetter.of(record)
        missing.discard(letter.place)
        if selection.wants(letter):
            yield letter
    if missing:
        places = ", ".join(f"{partition}:{offset}" for partition, offset in sorted(missing))
        raise StartError(f"no dead letter at {places}; `labelstream dlq list -c FILE` lists all")
