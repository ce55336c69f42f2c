"""Workarounds for faults of kafka-python's producer."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

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
