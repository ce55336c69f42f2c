"""Producer interface of the sink, and workarounds for kafka-python's producer."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.future import FutureRecordMetadata

from labelstream.workers.stream.codec.encode import ProducerRecord
from labelstream.workers.stream.producer.batch_producer import Acknowledgement, BatchProducer

logger = logging.getLogger(__name__)
JOIN_S = 20.0
LINGER_MS, FEW = 2, 16
PAUSED_MS = 1_000.0


def identity(producer: KafkaProducer) -> tuple[int, int]:
    """Producer id and epoch. A change means that the broker aborted a transaction."""
    manager: Any = producer._transaction_manager  # type: ignore[attr-defined]
    return manager.producer_id_and_epoch.producer_id, manager.producer_id_and_epoch.epoch


def call_with_timeout(call: Callable[[], None], timeout_s: float) -> None:
    """Run `call` in a thread: kafka-python ends transactions without a timeout. Raises TimeoutError; `call` goes on."""
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="in-time", daemon=True).start()
    outcome.result(timeout_s)


def end(producer: KafkaProducer, timeout_s: float) -> None:
    """Close the producer after up to `timeout_s`, discard unsent records, and wait for its thread.

    kafka-python's close raises if records are left, and its thread goes on sending. Or close returns while the thread
    waits for a broker, and the thread sends once more. A transactional producer would then send offsets, which the
    broker may add to a later transaction of the same id.
    """
    sender: Any = producer._sender  # type: ignore[attr-defined]
    try:
        producer.close(timeout=timeout_s)
    except KafkaError as error:
        logger.info("a producer was closed with unsent records (%s)", type(error).__name__)
        sender.force_close()
        producer._closed = True  # type: ignore[attr-defined]
    sender.join(JOIN_S)
    if sender.is_alive():
        logger.warning("the thread of a closed producer is still running after %g s", JOIN_S)


def set_linger(producer: KafkaProducer, linger_ms: int) -> None:
    """Set `linger.ms` of all topics.

    Without linger 1,000 records cost 4% more CPU (measured). With linger the result of a single message is 2 ms later.
    """
    producer._accumulator.config["linger_ms"] = linger_ms  # type: ignore[attr-defined]


def keep_records_in_flight(producer: KafkaProducer) -> None:
    """After a refused record, fail only records that have not been sent.

    kafka-python's sender also fails records in flight. The broker may accept those, and sending them again would
    duplicate them.
    """
    any_producer: Any = producer
    any_producer._sender._maybe_abort_batches = any_producer._accumulator.abort_undrained_batches


def sleep_while_paused(producer: KafkaProducer) -> None:
    """Make the producer's thread sleep while its connection is paused and records are waiting.

    kafka-python pauses a connection while the broker throttles or a request is in flight, and its thread polls at once:
    the thread spins and holds the GIL. A response or the end of the throttling wakes the thread.
    """
    client: Any = producer._sender._client  # type: ignore[attr-defined]
    delay = client.connection_delay

    def connection_delay(node_id: object) -> float:
        connection = client._manager._conns.get(node_id)
        paused = connection is not None and connection.connected and connection.paused
        return PAUSED_MS if paused else delay(node_id)

    client.connection_delay = connection_delay


class BrokersView:
    """The producer's cached metadata. Never waits for a broker."""

    _producer: BatchProducer

    def partitions(self, topic: str) -> set[int]:
        """The topic's partition numbers; empty if the topic is unknown."""
        any_producer: Any = self._producer
        return any_producer._metadata.partitions_for_topic(topic) or set()

    def look_for(self, topics: Sequence[str]) -> None:
        """Request metadata of `topics` from the brokers."""
        any_producer: Any = self._producer
        for topic in topics:
            any_producer._sender.add_topic(topic)
        any_producer._metadata.request_update()

    def throttled_s(self) -> float:
        """Seconds until a broker that throttles this client takes records again; 0 without a quota."""
        any_producer: Any = self._producer
        client = any_producer._sender._client
        return max((client.throttle_delay(broker.node_id) for broker in client.cluster.brokers()), default=0.0) / 1000


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

    def announce(self, records: int) -> None:
        """Tell that `records` sends follow."""
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

    def announce(self, records: int) -> None:
        set_linger(self._producer, 0 if records <= FEW else LINGER_MS)

    def send(self, topic: str, record: ProducerRecord) -> FutureRecordMetadata:
        return self._producer.send(
            topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms
        )

    def send_batch(self, topic: str, records: Sequence[ProducerRecord]) -> list[Acknowledgement]:
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
