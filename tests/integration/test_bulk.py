"""`send_batch` with a real broker: every record once, in order, each acknowledged or failed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from labelstream.workers.stream.broker.connection import connected_config
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.producer.kafka_producer.batch_producer import BatchProducer
from labelstream.workers.stream.producer.kafka_producer.client import make_producer
from labelstream.workers.stream.producer.kafka_producer.workarounds import end
from tests.integration.conftest import MakeTopic
from tests.kafka import Broker
from tests.support.streams import Topics, read_all, settings_for, wait_until

COUNT = 2_000


@contextmanager
def producing(broker: Broker) -> Iterator[BatchProducer]:
    settings = settings_for(broker.bootstrap, Topics("in", "out", "dlq")).required_kafka
    producer = make_producer(connected_config(settings), settings, [1_048_576])
    try:
        yield producer
    finally:
        end(producer, 5)


def records(count: int, size: int = 100) -> list[ProducerRecord]:
    rng = random.Random(1)  # incompressible values
    return [
        ProducerRecord(b"%d " % number + rng.randbytes(size), b"key-%d" % (number % 20), [("h", b"%d" % number)])
        for number in range(count)
    ]


@pytest.mark.parametrize("max_bytes", [1_048_588, 3_000])
def test_send_batch_keeps_order_of_each_key(kafka: Broker, make_topic: MakeTopic, max_bytes: int) -> None:
    """With the small limit, the broker refuses every batch and kafka-python splits it repeatedly."""
    topic, sent = make_topic(3, {"max.message.bytes": str(max_bytes)}), records(COUNT)
    with producing(kafka) as producer:
        acks = [ack for first in range(0, COUNT, 500) for ack in producer.send_batch(topic, sent[first : first + 500])]
        wait_until(lambda: all(ack.is_done for ack in acks), 60, "the acknowledgements")
        assert not any(ack.failed() for ack in acks)
    found = read_all(kafka.bootstrap, topic, lambda found: len(found) >= COUNT)
    assert len(found) == COUNT
    for key in {record.key for record in sent}:
        assert [(message.value(), message.headers()) for message in found if message.key() == key] == [
            (record.value, record.headers) for record in sent if record.key == key
        ]


def test_send_batch_partitions_keys_as_client_does(kafka: Broker, make_topic: MakeTopic) -> None:
    topic, sent = make_topic(5), records(200)
    with producing(kafka) as producer:
        acks = [producer.send(topic, record.value, record.key) for record in sent]
        acks[-1].get(20)
        producer.send_batch(topic, sent)
    found = read_all(kafka.bootstrap, topic, lambda found: len(found) >= 400)
    assert len(found) == 400
    places = {(message.key(), message.partition()) for message in found}
    assert len(places) == 20
    assert len({partition for _, partition in places}) > 2


def test_send_batch_fails_refused_record(kafka: Broker, make_topic: MakeTopic) -> None:
    topic = make_topic(1, {"max.message.bytes": "3000"})
    with producing(kafka) as producer:
        told: list[int] = []
        acks = producer.send_batch(topic, records(1, 6_000))
        acks[-1].add_both(lambda _: told.append(1))
        wait_until(lambda: told == [1], 30, "the refusal")
        assert isinstance(acks[0].exception, MessageSizeTooLargeError | RecordListTooLargeError)
