"""Make the producers of a pipeline from its settings."""

from collections.abc import Sequence
from typing import Any

from kafka.serializer import Serializer

from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.producer.kafka_producer.batch_producer import BatchProducer
from labelstream.workers.stream.producer.kafka_producer.workarounds import LINGER_MS, sleep_while_paused

NEVER_MS = 2**31 - 1


def make_producer(
    config: dict[str, Any], kafka: KafkaSettings, limits: Sequence[int], delivery_timeout_ms: int = NEVER_MS
) -> BatchProducer:
    """An idempotent producer: retries neither duplicate nor reorder. `limits`: max.message.bytes of its topics.

    By default records never expire: an expired record may still be in the log, and sending it again would duplicate it.
    """
    producer = BatchProducer(
        **config,
        **_producing(kafka, limits),
        delivery_timeout_ms=delivery_timeout_ms,
        max_block_ms=kafka.request_timeout_ms,
    )
    sleep_while_paused(producer)
    return producer


def make_transactional_producer(
    config: dict[str, Any],
    kafka: KafkaSettings,
    limits: Sequence[int],
    transactional_id: str,
    value_serializer: Serializer | None = None,
) -> BatchProducer:
    """A transactional producer. Each request takes at most a third of the transaction timeout."""
    request_ms = min(kafka.request_timeout_ms, kafka.transaction_timeout_ms // 3)
    producer = BatchProducer(
        **config | {"request_timeout_ms": request_ms},
        **_producing(kafka, limits),
        transactional_id=transactional_id,
        value_serializer=value_serializer,
        transaction_timeout_ms=kafka.transaction_timeout_ms,
        delivery_timeout_ms=NEVER_MS,
        max_block_ms=kafka.transaction_timeout_ms,
        # Wait while the broker still writes the markers of the previous transaction, usually some milliseconds. The
        # wait blocks all requests of the producer.
        retry_backoff_ms=20,
    )
    sleep_while_paused(producer)
    return producer


def _producing(kafka: KafkaSettings, limits: Sequence[int]) -> dict[str, Any]:
    return {
        "acks": "all",
        "enable_idempotence": True,
        "allow_auto_create_topics": False,
        "max_request_size": max(*limits, 1_048_576) + 65_536,
        "batch_size": min(131_072, *limits),  # brokers limit the batch: several small records could exceed the limit
        "linger_ms": LINGER_MS,
        # A throttling broker answers, then reads nothing for a while. A second request would wait unread and time out.
        "max_in_flight_requests_per_connection": 1,
        "compression_type": None if kafka.compression == "none" else kafka.compression,
        "metrics_enabled": False,
    }
