"""Faults of kafka-python that the workarounds hide: an ended producer sends nothing more and raises nothing."""

import threading
from types import SimpleNamespace
from typing import Any

from kafka import KafkaProducer
from kafka.errors import InvalidRecordError, KafkaTimeoutError
from kafka.structs import TopicPartition

from labelstream.workers.stream.producer.kafka_producer.workarounds import (
    PAUSED_MS,
    end,
    keep_records_in_flight,
    set_linger,
    sleep_while_paused,
)
from tests.support.fakes import UNREACHABLE


def test_producer_is_force_closed_after_failed_close() -> None:
    """Hazard: close raises when records are left after its timeout, and its thread goes on sending them."""
    forced, joined = threading.Event(), []

    def close(timeout: float) -> None:
        raise KafkaTimeoutError("Timeout waiting for future")

    producer: Any = SimpleNamespace(
        close=close,
        _closed=False,
        _sender=SimpleNamespace(
            force_close=forced.set, join=lambda timeout: joined.append(timeout), is_alive=lambda: False
        ),
    )
    end(producer, 0)
    assert forced.is_set()
    assert producer._closed
    assert joined


def test_the_client_still_has_what_ending_it_takes() -> None:
    producer = KafkaProducer(**UNREACHABLE)
    sender: Any = producer._sender  # type: ignore[attr-defined]
    assert callable(sender.force_close)
    assert producer._closed is False  # type: ignore[attr-defined]
    end(producer, 1)
    assert not sender.is_alive()


def test_the_client_looks_at_the_linger_each_time() -> None:
    producer = KafkaProducer(**UNREACHABLE)
    records: Any = producer._accumulator  # type: ignore[attr-defined]
    cluster = SimpleNamespace(leader_for_partition=lambda partition: 0)
    set_linger(producer, 10_000)
    records.append(TopicPartition("t", 0), 1, None, b"value", [])
    assert not records.ready(cluster)[0]
    set_linger(producer, 0)
    assert records.ready(cluster)[0] == {0}
    producer._sender.force_close()  # type: ignore[attr-defined]
    end(producer, 0)


def test_nobody_spins_while_a_broker_takes_nothing() -> None:
    """Hazard: the client has no delay for a connection that is paused, and looks again and again."""
    producer = KafkaProducer(**UNREACHABLE)
    sender: Any = producer._sender  # type: ignore[attr-defined]
    connection = SimpleNamespace(connected=True, paused={"throttle"}, close=lambda: None)
    sender._client._manager._conns[7] = connection
    assert sender._client.connection_delay(7) == 0
    sleep_while_paused(producer)
    assert sender._client.connection_delay(7) == PAUSED_MS
    connection.paused.clear()
    assert sender._client.connection_delay(7) == 0
    del sender._client._manager._conns[7]
    sender.force_close()
    end(producer, 0)


def test_in_flight_batch_awaits_broker_after_refused_record() -> None:
    """Hazard: the client fails it at once, the broker takes it all the same, and it would be sent twice."""
    producer = KafkaProducer(**UNREACHABLE)
    keep_records_in_flight(producer)
    sender: Any = producer._sender  # type: ignore[attr-defined]
    records: Any = producer._accumulator  # type: ignore[attr-defined]
    on_its_way, unsent = (records.append(TopicPartition("t", number), 1, None, b"value", [])[0] for number in (0, 1))
    batch = records._batches[TopicPartition("t", 0)].popleft()  # as draining does
    batch.drained = 1.0
    sender._maybe_abort_batches(InvalidRecordError("of another partition"))
    assert not on_its_way.is_done
    assert isinstance(unsent.exception, InvalidRecordError)
    batch.complete(7, -1)
    records.deallocate(batch)
    assert on_its_way.value.offset == 7
    sender.force_close()
    end(producer, 0)
