"""Make the KafkaConsumer of a pipeline from its settings."""

from typing import Any

from kafka import KafkaConsumer

from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.assignor import Assignor


def make_consumer(
    config: dict[str, Any], kafka: KafkaSettings, pipeline: PipelineSettings, group: str
) -> KafkaConsumer:
    """Return a consumer without a subscription. Automatic commits and offset resets are off: other modules do both."""
    config = {"metadata_max_age_ms": int(1_000 * pipeline.discovery_interval_s)} | config
    return KafkaConsumer(
        **config,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",  # pyright: ignore[reportArgumentType]
        partition_assignment_strategy=[Assignor],
        allow_auto_create_topics=False,
        max_poll_records=pipeline.max_poll_records,
        max_poll_interval_ms=kafka.max_poll_interval_ms,
        session_timeout_ms=kafka.session_timeout_ms,
        heartbeat_interval_ms=min(3_000, kafka.session_timeout_ms // 3),
        # Skips records of aborted transactions, and waits for stable offsets (KIP-447): the group's offsets are
        # returned only when a previous owner's transaction has ended.
        isolation_level="read_committed",
        fetch_max_bytes=16 * 1024 * 1024,
        metrics_enabled=False,
    )
