"""What a sink sends with: the same few calls, whether each record counts by itself or in a transaction."""

from collections.abc import Callable
from typing import Protocol

from kafka import KafkaProducer
from kafka.producer.future import FutureRecordMetadata

from workers.stream.encode import Outgoing


class Producer(Protocol):
    """Owned by one sink, used by one thread."""

    def send(self, topic: str, record: Outgoing) -> FutureRecordMetadata:
        """Raises kafka's own errors."""
        ...

    def refused(self) -> None:
        """The broker found the last record too large, which leaves kafka-python's producer beyond repair."""
        ...

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for what was sent."""
        ...


class IdempotentProducer:
    """Each record counts as soon as it is acknowledged."""

    def __init__(self, make: Callable[[], KafkaProducer]) -> None:
        self._make, self._producer = make, make()

    def send(self, topic: str, record: Outgoing) -> FutureRecordMetadata:
        return self._producer.send(topic, record.value, record.key, record.headers, record.partition)

    def refused(self) -> None:
        self._producer.close(timeout=0)
        self._producer = self._make()

    def close(self, timeout_s: float) -> None:
        self._producer.close(timeout=timeout_s)
