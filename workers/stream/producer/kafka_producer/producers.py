"""Producer interface of the sink, and the producer without transactions."""

from collections.abc import Callable, Sequence
from typing import Protocol

from kafka.producer.future import FutureRecordMetadata

from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.producer.kafka_producer.batch_producer import Acknowledgement, BatchProducer
from labelstream.workers.stream.producer.kafka_producer.brokers_view import BrokersView
from labelstream.workers.stream.producer.kafka_producer.workarounds import (
    FEW,
    LINGER_MS,
    end,
    keep_records_in_flight,
    set_linger,
)


class Producer(Protocol):
    """Producer of one sink, used from one thread."""

    def partitions(self, topic: str) -> set[int]:
        """See `BrokersView`."""
        ...

    def look_for(self, topics: Sequence[str]) -> None:
        """See `BrokersView`."""
        ...

    def throttled_s(self) -> float:
        """See `BrokersView`."""
        ...

    def send(self, topic: str, record: ProducerRecord) -> FutureRecordMetadata:
        """Send one record. Raises KafkaError."""
        ...

    def send_batch(self, topic: str, records: Sequence[ProducerRecord]) -> list[Acknowledgement]:
        """See `BatchProducer.send_batch`."""
        ...

    def refused(self) -> None:
        """Replace or abort the producer: kafka-python's producer is unusable after a refused record."""
        ...

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for acknowledgements, then close."""
        ...


class IdempotentProducer(BrokersView):
    """An idempotent producer without transactions: an acknowledged record is final."""

    def __init__(self, make: Callable[[], BatchProducer]) -> None:
        self._make = make
        self._producer = self._made()

    def send(self, topic: str, record: ProducerRecord) -> FutureRecordMetadata:
        set_linger(self._producer, 0)
        return self._producer.send(
            topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms
        )

    def send_batch(self, topic: str, records: Sequence[ProducerRecord]) -> list[Acknowledgement]:
        set_linger(self._producer, 0 if len(records) <= FEW else LINGER_MS)
        return self._producer.send_batch(topic, records)

    def refused(self) -> None:
        end(self._producer, 0)
        self._producer = self._made()

    def _made(self) -> BatchProducer:
        producer = self._make()
        keep_records_in_flight(producer)
        return producer

    def close(self, timeout_s: float) -> None:
        end(self._producer, timeout_s)
