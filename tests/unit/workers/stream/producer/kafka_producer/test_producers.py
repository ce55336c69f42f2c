"""The producer without transactions: its linger."""

from types import SimpleNamespace
from typing import Any

from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.producer.kafka_producer.producers import IdempotentProducer
from labelstream.workers.stream.producer.kafka_producer.workarounds import FEW, LINGER_MS


def test_a_few_records_wait_for_no_others() -> None:
    seen: list[int] = []
    config = {"linger_ms": LINGER_MS}
    kafka: Any = SimpleNamespace(
        _accumulator=SimpleNamespace(config=config, abort_undrained_batches=None),
        _sender=SimpleNamespace(),
        send=lambda *record: seen.append(config["linger_ms"]),
        send_batch=lambda topic, records: seen.append(config["linger_ms"]),
    )
    producer, record = IdempotentProducer(lambda: kafka), ProducerRecord(b"v", b"k", [])
    for records in (1, FEW, FEW + 1):
        producer.send_batch("out", [record] * records)
    producer.send("out", record)
    assert seen == [0, 0, LINGER_MS, 0]
