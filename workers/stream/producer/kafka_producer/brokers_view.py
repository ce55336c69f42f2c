"""What a producer knows of the brokers: partitions of topics, and throttling."""

from collections.abc import Sequence
from typing import Any

from labelstream.workers.stream.producer.kafka_producer.batch_producer import BatchProducer


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
