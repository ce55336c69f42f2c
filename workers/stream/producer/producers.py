"""What a sink sends with: the same few calls, whether each record counts by itself or in a transaction.

And what kafka-python's producer needs around it, whoever uses one.
"""

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
    """Producer id and epoch: as long as they stay, no transaction was aborted behind our back."""
    manager: Any = producer._transaction_manager  # type: ignore[attr-defined]
    return manager.producer_id_and_epoch.producer_id, manager.producer_id_and_epoch.epoch


def in_time(call: Callable[[], None], timeout_s: float) -> None:
    """kafka-python ends transactions without a timeout. Raises TimeoutError; the call goes on in a thread then."""
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="in-time", daemon=True).start()
    outcome.result(timeout_s)


def end(producer: KafkaProducer, timeout_s: float) -> None:
    """Close it, whatever is left in it after `timeout_s`, and see its thread end.

    kafka-python's own close raises when something is left, and its thread goes on sending; or it comes back while that
    thread still waits for a broker, and sends once more when there is one. From a producer with transactions that would
    be offsets, which a broker may add to a later transaction of the same id.
    """
    sender: Any = producer._sender  # type: ignore[attr-defined]
    try:
        producer.close(timeout=timeout_s)
    except KafkaError as error:
        logger.info("a producer was closed with records in it (%s)", type(error).__name__)
        sender.force_close()
        producer._closed = True  # type: ignore[attr-defined]
    sender.join(JOIN_S)
    if sender.is_alive():
        logger.warning("a closed producer's thread did not end in %g s", JOIN_S)


def linger(producer: KafkaProducer, linger_ms: int) -> None:
    """From now on records wait so long for others.

    kafka-python has one value for all. Without any wait a thousand records cost 4% more CPU, measured; with it the
    result of a lone message comes 2 ms later.
    """
    producer._accumulator.config["linger_ms"] = linger_ms  # type: ignore[attr-defined]


def let_the_broker_answer(producer: KafkaProducer) -> None:
    """From now on a refused record fails what has not been sent, and nothing that is on its way.

    kafka-python's sender fails all of it at once. The broker takes records that are on their way all the same, and
    they would be sent, and come out, a second time.
    """
    any_producer: Any = producer
    any_producer._sender._maybe_abort_batches = any_producer._accumulator.abort_undrained_batches


def rest_while_paused(producer: KafkaProducer) -> None:
    """From now on its thread sleeps while a connection takes nothing, and something waits for it.

    kafka-python pauses a connection while the broker throttles it, or a request is on its way, and tells its thread to
    look again at once: it spins, under the GIL of everybody else. An answer or the end of the throttling wakes it.
    """
    client: Any = producer._sender._client  # type: ignore[attr-defined]
    delay = client.connection_delay

    def connection_delay(node_id: object) -> float:
        connection = client._manager._conns.get(node_id)
        paused = connection is not None and connection.connected and connection.paused
        return PAUSED_MS if paused else delay(node_id)

    client.connection_delay = connection_delay


class BrokersView:
    """What a producer knows of the brokers, which is never waited for."""

    _producer: BatchProducer

    def partitions(self, topic: str) -> set[int]:
        """As far as the producer knows; none where it does not know the topic."""
        any_producer: Any = self._producer
        return any_producer._metadata.partitions_for_topic(topic) or set()

    def look_for(self, topics: Sequence[str]) -> None:
        """Ask the brokers for the partitions of these topics as well."""
        any_producer: Any = self._producer
        for topic in topics:
            any_producer._sender.add_topic(topic)
        any_producer._metadata.request_update()

    def throttled_s(self) -> float:
        """For how long yet a broker takes nothing from us, because of a quota; 0 when none does so."""
        any_producer: Any = self._producer
        client = any_producer._sender._client
        return max((client.throttle_delay(broker.node_id) for broker in client.cluster.brokers()), default=0.0) / 1000


class Producer(Protocol):
    """Owned by one sink, used by one thread."""

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
        """So many come now, one behind the other."""
        ...

    def send(self, topic: str, record: ProducerRecord) -> FutureRecordMetadata:
        """Raises kafka's own errors."""
        ...

    def send_batch(self, topic: str, records: Sequence[ProducerRecord]) -> list[Acknowledgement]:
        """As `BatchProducer.send_batch`."""
        ...

    def refused(self) -> None:
        """The broker refused a record for itself, which leaves kafka-python's producer beyond repair."""
        ...

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for what was sent."""
        ...


class IdempotentProducer(BrokersView):
    """Each record counts as soon as it is acknowledged."""

    def __init__(self, make: Callable[[], BatchProducer]) -> None:
        self._make = make
        self._producer = self._made()

    def announce(self, records: int) -> None:
        linger(self._producer, 0 if records <= FEW else LINGER_MS)

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
        let_the_broker_answer(producer)
        return producer

    def close(self, timeout_s: float) -> None:
        end(self._producer, timeout_s)
