"""Read results and dead letters as a read_committed reader, while they arrive."""

import json
import threading
import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.hostile.judge import Seen
from tests.hostile.system import DEAD_LETTER, GROUP, INPUT, OUTPUT, PARTITIONS

QUIET = {"log_level": 0, "enable.auto.commit": False, "auto.offset.reset": "error"}


class Reader:
    """Reads in a thread until `close`. `seen` is in the order of arrival."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap, self._ended = bootstrap, threading.Event()
        self.seen: list[Seen] = []
        self.read_at: list[float] = []
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        consumer = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": "judge", "isolation.level": "read_committed", **QUIET}
        )
        consumer.assign(
            [TopicPartition(OUTPUT, number, 0) for number in range(PARTITIONS)] + [TopicPartition(DEAD_LETTER, 0, 0)]
        )
        while not self._ended.is_set():
            for found in consumer.consume(500, timeout=0.1):
                if not found.error():
                    self.seen.append(_seen(found))
                    self.read_at.append(time.time())
        consumer.close()


def _seen(found: Any) -> Seen:
    if found.topic() == DEAD_LETTER:
        headers = dict(found.headers())
        place = int(headers["__connect.errors.partition"]), int(headers["__connect.errors.offset"])
        return Seen(place, reason=headers["labelstream.reason"].decode())
    result = json.loads(found.value())
    place = result["source"]["partition"], result["source"]["offset"]
    if "masks" in result:
        best = result["masks"][0][0] if result["masks"] and result["masks"][0] else {"token": "", "score": 0.0}
        return Seen(place, label=best["token"], score=best["score"])
    return Seen(place, label=result["label"], score=result["score"])


def left(bootstrap: str) -> int | None:
    """Number of inputs that the group has not committed; None if the broker does not answer in time."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, **QUIET})
    try:
        found = consumer.committed([TopicPartition(INPUT, number) for number in range(PARTITIONS)], timeout=10)
        ends = [
            consumer.get_watermark_offsets(TopicPartition(INPUT, number), timeout=10)[1] for number in range(PARTITIONS)
        ]
        return sum(end - max(0, entry.offset) for entry, end in zip(found, ends, strict=True))
    except KafkaException:
        return None
    finally:
        consumer.close()
