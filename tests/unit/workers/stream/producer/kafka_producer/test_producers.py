"""The producer without transactions: its linger."""

from types import SimpleNamespace
from typing import Any

from labelstream.workers.stream.producer.kafka_producer.producers import IdempotentProducer
from labelstream.workers.stream.producer.kafka_producer.workarounds import FEW, LINGER_MS


def test_a_few_records_wait_for_no_others() -> None:
    kafka: Any = SimpleNamespace(
        _accumulator=SimpleNamespace(config={"linger_ms": LINGER_MS}, abort_undrained_batches=None),
        _sender=SimpleNamespace(),
    )
    producer, seen = IdempotentProducer(lambda: kafka), []
    for records in (1, FEW, FEW + 1, 0):
        producer.announce(records)
        seen.append(kafka._accumulator.config["linger_ms"])
    assert seen == [0, 0, LINGER_MS, 0]
