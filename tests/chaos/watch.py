"""Watch topics while faults run, and read all records at the end."""

import threading
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.chaos.system import PARTITIONS, Stream
from tests.chaos.verify import PartitionOffset, Sample, Seen, split

OURS = ("__connect.errors.", "labelstream.")  # how the names of a dead letter's headers begin
QUIET = {
    "log_level": 0,
    "enable.auto.commit": False,
    "reconnect.backoff.max.ms": 500,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
}


class Watch:
    """A read_committed reader of the outputs and a sampler of the group's offsets, each in a thread."""

    def __init__(self, bootstrap: str, stream: Stream) -> None:
        self._bootstrap, self._stream = bootstrap, stream
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
        consumer.assign([TopicPartition(*place, 0) for place in self._stream.written()[:-1]])
        while not self._ended.is_set():
            for message in consumer.consume(500, timeout=0.1):
                result = None if message.error() else split(message.value() or b"")[0]
                if result is not None:
                    source = result["source"]
                    self.results += 1
                    self._newest[source["partition"]] = max(
                        self._newest[source["partition"]], source["timestamp_ms"] / 1000
                    )
        consumer.close()

    def _sample(self) -> None:
        # read_uncommitted: read_committed ends would stop at the oldest open transaction.
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": self._stream.group,
                **QUIET,
                "isolation.level": "read_uncommitted",
            }
        )
        while not self._ended.wait(1.0):
            try:
                self.samples.append(take_sample(consumer, self._stream))
            except KafkaException:
                continue  # the broker is unavailable
        consumer.close()


def take_sample(consumer: Consumer, stream: Stream) -> Sample:
    """Read the offsets, then the ends: every committed offset's result must be in the log by then."""
    committed = _committed(consumer, stream, 3)
    ends = {
        place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=3, cached=False)[1]
        for place in stream.written()
    }
    return Sample(committed, ends)


def committed_now(bootstrap: str, stream: Stream) -> int:
    """The sum of the group's committed offsets."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": stream.group, **QUIET})
    try:
        return sum(_committed(consumer, stream, 5).values())
    finally:
        consumer.close()


def _committed(consumer: Consumer, stream: Stream, timeout_s: float) -> dict[int, int]:
    found = consumer.committed([TopicPartition(stream.input, number) for number in range(PARTITIONS)], timeout_s)
    return {entry.partition: entry.offset for entry in found if entry.offset >= 0 and not entry.error}


def read_everything(
    bootstrap: str, stream: Stream, places: Mapping[bytes, PartitionOffset]
) -> tuple[list[Seen], dict[PartitionOffset, list[float]]]:
    """All committed records of outputs and dead-letter topic in offset order, and the times of classification.

    `places`: the input of each value of the header `n`.
    """
    seen: list[Seen] = []
    classified: dict[PartitionOffset, list[float]] = defaultdict(list)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "verify", "enable.partition.eof": True, **QUIET})
    for place in stream.written():
        consumer.assign([TopicPartition(*place, 0)])
        ended = False
        while not ended:
            for message in consumer.consume(1000, timeout=1):
                error = message.error()
                if error is None:
                    record, at = _seen(message, stream, places)
                    seen.append(record)
                    classified[record.source].append(at)
                elif error.code() == -191:  # _PARTITION_EOF
                    ended = True
                else:
                    raise KafkaException(error)
    consumer.close()
    return seen, classified


def _seen(message: Any, stream: Stream, places: Mapping[bytes, PartitionOffset]) -> tuple[Seen, float]:
    """The record, and the time of its classification, or of the record if it was not classified."""
    all_headers, time_ms = dict(message.headers() or []), message.timestamp()[1]
    rest, label, score, at = message.value(), None, 0.0, time_ms / 1000
    is_dead = message.topic() == stream.dead_letter
    if is_dead:
        source = (int(all_headers["__connect.errors.partition"]), int(all_headers["__connect.errors.offset"]))
    elif (result := split(rest or b"")[0]) is not None:
        rest = split(rest)[1]
        source = (result["source"]["partition"], result["source"]["offset"])
        at = datetime.fromisoformat(result["classified_at"]).timestamp()
        label, score = result["label"], result["score"]
    else:
        source = places[all_headers["n"]]
    headers = tuple((name, value) for name, value in message.headers() or [] if not name.startswith(OURS))
    place = message.topic(), message.partition(), message.offset()
    kept_ms = time_ms if stream.keeps_timestamp and not is_dead else None
    return Seen(*place, source, message.key(), label, score, rest, headers, kept_ms), at
