"""The producers of a stream, made from our settings."""

from collections.abc import Sequence
from typing import Any

from kafka.serializer import Serializer

from labelstream.workers.settings import KafkaSettings
from labelstream.workers.stream.producer.batch_producer import BatchProducer
from labelstream.workers.stream.producer.producers import LINGER_MS, rest_while_paused

NEVER_MS = 2**31 - 1


def make_producer(
    config: dict[str, Any], kafka: KafkaSettings, limits: Sequence[int], delivery_timeout_ms: int = NEVER_MS
) -> BatchProducer:
    """An idempotent producer: retries neither repeat nor reorder. `limits`: max.message.bytes of what it writes to.

    A stream's never gives up: a record that was given up may be in the log all the same, and would be sent again.
    """
    producer = BatchProducer(
        **config,
        **_producing(kafka, limits),
        delivery_timeout_ms=delivery_timeout_ms,
        max_block_ms=kafka.request_timeout_ms,
    )
    rest_while_paused(producer)
    return producer


def make_transactional_producer(
    config: dict[str, Any],
    kafka: KafkaSettings,
    limits: Sequence[int],
    transactional_id: str,
    value_serializer: Serializer | None = None,
) -> BatchProducer:
    """Like `make_producer`, for transactions, of which each request takes a third of the time at most."""
    request_ms = min(kafka.request_timeout_ms, kafka.transaction_timeout_ms // 3)
    producer = BatchProducer(
        **config | {"request_timeout_ms": request_ms},
        **_producing(kafka, limits),
        transactional_id=transactional_id,
        value_serializer=value_serializer,
        transaction_timeout_ms=kafka.transaction_timeout_ms,
        delivery_timeout_ms=NEVER_MS,
        max_block_ms=kafka.transaction_timeout_ms,
        # It sleeps so long, with everything it sends, when a transaction follows so closely on another one that the
        # broker is still writing that one's markers: usually for some milliseconds.
        retry_backoff_ms=20,
    )
    rest_while_paused(producer)
    return producer


def _producing(kafka: KafkaSettings, limits: Sequence[int]) -> dict[str, Any]:
    return {
        "acks": "all",
        "enable_idempotence": True,
        "allow_auto_create_topics": False,
        "max_request_size": max(*limits, 1_048_576) + 65_536,
        "batch_size": min(131_072, *limits),  # the broker's limit is of a batch: small records could be too large
        "linger_ms": LINGER_MS,
        # A broker that throttles us answers, and then reads nothing for a while. A second request that is on its way
        # would not be read for so long, and time out.
        "max_in_flight_requests_per_connection": 1,
        "compression_type": None if kafka.compression == "none" else kafka.compression,
        "metrics_enabled": False,
    }
