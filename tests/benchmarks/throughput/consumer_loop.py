"""The textbook loop as baseline: a consumer, `transformers.pipeline`, a producer."""

import json
import time
import uuid
from typing import Any

import transformers
from kafka import KafkaConsumer, KafkaProducer


class ConsumerLoop:
    """`batch_size`: 1 makes one call per message; above, one call per poll of at most so many messages."""

    def __init__(self, model: str, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._pipeline = transformers.pipeline("text-classification", model=model, device="cpu")
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")

    def texts_per_s(self, topic: str, output: str, count: int, batch_size: int) -> float:
        """Classify the first `count` messages of `topic` into `output`, and commit; the start is not counted."""
        consumer = KafkaConsumer(
            topic,
            bootstrap_servers=self._bootstrap,
            group_id=f"textbook-{uuid.uuid4().hex}",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=batch_size,
        )
        done, started = 0, 0.0
        while done < count:
            for records in consumer.poll(timeout_ms=500).values():
                started = started or time.perf_counter()
                self._answer(records, output, batch_size)
                done += len(records)
            if done and batch_size > 1:
                consumer.commit()
        self._producer.flush()
        consumer.commit()
        elapsed = time.perf_counter() - started
        consumer.close()
        return done / elapsed

    def close(self) -> None:
        self._producer.close()

    def _answer(self, records: list[Any], output: str, batch_size: int) -> None:
        texts = [json.loads(record.value)["text"] for record in records]
        answers = self._pipeline(texts, batch_size=batch_size, truncation=True)
        for record, answer in zip(records, answers, strict=True):
            self._producer.send(output, json.dumps(answer).encode(), key=record.key)
