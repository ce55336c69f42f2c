"""What a sink sends with: the same few calls, whether each record counts by itself or in a transaction."""

import logging
from collections.abc import Callable
from typing import Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.future import FutureRecordMetadata

from workers.stream.encode import Outgoing

log = logging.getLogger(__name__)


def end(producer: KafkaProducer, timeout_s: float) -> None:
    """Close it, whatever is left in it after `timeout_s`.

    kafka-python's own close raises then, and leaves its thread behind, which goes on sending.
    """
    try:
        producer.close(timeout=timeout_s)
    except KafkaError as error:
        log.info("a producer was closed with records in it (%s)", type(error).__name__)
        producer._sender.force_close()  # type: ignore[attr-defined]
        producer._closed = True  # type: ignore[attr-defined]


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
        end(self._producer, 0)
        self._producer = self._make()

    def close(self, timeout_s: float) -> None:
        end(self._producer, timeout_s)
