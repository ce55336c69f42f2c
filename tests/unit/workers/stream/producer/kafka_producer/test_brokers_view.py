"""What a producer knows of the brokers, without waiting for one."""

from types import SimpleNamespace
from typing import Any

from labelstream.workers.stream.producer.kafka_producer.brokers_view import BrokersView


def view(partitions: set[int] | None = None, throttled_ms: tuple[float, ...] = ()) -> Any:
    brokers = [SimpleNamespace(node_id=node_id) for node_id in range(len(throttled_ms))]
    client = SimpleNamespace(
        cluster=SimpleNamespace(brokers=lambda: brokers), throttle_delay=lambda node_id: throttled_ms[node_id]
    )
    asked: list[str] = []
    found: Any = BrokersView()
    found._producer = SimpleNamespace(
        asked=asked,
        _sender=SimpleNamespace(_client=client, add_topic=asked.append),
        _metadata=SimpleNamespace(
            partitions_for_topic=lambda topic: partitions, request_update=lambda: asked.append("update")
        ),
    )
    return found


def test_unknown_topic_has_no_partitions() -> None:
    assert view().partitions("out") == set()
    assert view({0, 2}).partitions("out") == {0, 2}


def test_looking_for_topics_asks_for_metadata_once() -> None:
    found = view()
    found.look_for(["out", "dlq"])
    assert found._producer.asked == ["out", "dlq", "update"]


def test_longest_throttling_of_a_broker_counts() -> None:
    assert view(throttled_ms=(0.0, 1_500.0, 200.0)).throttled_s() == 1.5
    assert view().throttled_s() == 0.0
