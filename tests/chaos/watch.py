"""Watch topics while faults run, and read all records at the end."""

import json
import threading
from collections import defaultdict
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.chaos.system import DEAD_LETTER, GROUP, INPUT, OUTPUT, PARTITIONS
from tests.chaos.verify import Sample, Seen

QUIET = {
    "log_level": 0,
    "enable.auto.commit": False,
    "reconnect.backoff.max.ms": 500,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
}


class Watch:
    """A read_committed reader of the output and a sampler of the group's offsets, each in a thread."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._ended = threading.Event()
        self._newest: dict[int, float] = defaultdict(float)  # input partition -> time of the newest answered message
        self.samples: list[Sample] = []
        self.results = 0
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._read, self._sample)]
        for thread in self._threads:
            thread.start()

    def caught_up(self, since: float) -> bool:
        """Has each input partition an answered message that is newer than `since` (time.time())?"""
        return all(self._newest[partition] > since for partition in range(PARTITIONS))

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    def _read(self) -> None:
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": "watch", **QUIET})
        consumer.assign([TopicPartition(OUTPUT, number, 0) for number in range(PARTITIONS)])
        while not self._ended.is_set():
            for message in consumer.consume(500, timeout=0.1):
                if not message.error():
                    source = json.loads(message.value() or b"")["source"]
                    self.results += 1
                    self._newest[source["partition"]] = max(
                        self._newest[source["partition"]], source["timestamp_ms"] / 1000
                    )
        consumer.close()

    def _sample(self) -> None:
        # read_uncommitted: read_committed ends would stop at the oldest open transaction.
        consumer = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": GROUP, **QUIET, "isolation.level": "read_uncommitted"}
        )
        while not self._ended.wait(1.0):
            try:
                self.samples.append(take_sample(consumer))
            except KafkaException:
                continue  # the broker is unavailable
        consumer.close()


def take_sample(consumer: Consumer) -> Sample:
    """Read the offsets, then the ends: every committed offset's result must be in the log by then."""
    found = consumer.committed([TopicPartition(INPUT, number) for number in range(PARTITIONS)], timeout=3)
    committed = {entry.partition: entry.offset for entry in found if entry.offset >= 0 and not entry.error}
    ends = {}
    for topic, partitions in ((OUTPUT, PARTITIONS), (DEAD_LETTER, 1)):
        for number in range(partitions):
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=3, cached=False)
            ends[topic, number] = end
    return Sample(committed, ends)


def committed_now(bootstrap: str) -> int:
    """The sum of the group's committed offsets."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, **QUIET})
    try:
        found = consumer.committed([TopicPartition(INPUT, number) for number in range(PARTITIONS)], timeout=5)
        return sum(max(0, entry.offset) for entry in found)
    finally:
        consumer.close()


def read_everything(bootstrap: str) -> tuple[list[Seen], dict[tuple[int, int], list[float]]]:
    """All committed records of output and dead-letter topic in offset order, and the times of classification."""
    seen: list[Seen] = []
    classified: dict[tuple[int, int], list[float]] = defaultdict(list)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "verify", "enable.partition.eof": True, **QUIET})
    for topic, partitions in ((OUTPUT, PARTITIONS), (DEAD_LETTER, 1)):
        for number in range(partitions):
            consumer.assign([TopicPartition(topic, number, 0)])
            ended = False
            while not ended:
                for message in consumer.consume(1000, timeout=1):
                    error = message.error()
                    if error is None:
                        seen.append(_seen(message))
                        classified[seen[-1].source].append(message.timestamp()[1] / 1000)
                    elif error.code() == -191:  # _PARTITION_EOF
                        ended = True
                    else:
                        raise KafkaException(error)
    consumer.close()
    return seen, classified


def _seen(message: Any) -> Seen:
    place = message.topic(), message.partition(), message.offset()
    if message.topic() == DEAD_LETTER:
        headers = {name: value.decode() for name, value in message.headers()}
        source = (int(headers["__connect.errors.partition"]), int(headers["__connect.errors.offset"]))
        return Seen(*place, source, message.key(), None)
    result = json.loads(message.value())
    source = (result["source"]["partition"], result["source"]["offset"])
    return Seen(*place, source, message.key(), result["label"], result["score"])
