"""A pipeline without a broker: a fake source, producer and model, and a loop that the test runs."""

import json
import time
from collections.abc import Callable, Mapping
from itertools import takewhile
from types import SimpleNamespace
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import MessageSizeTooLargeError
from kafka.future import Future
from kafka.structs import TopicPartition

from labelstream.workers.classifier import Classifier
from labelstream.workers.settings.limits import MAX_IN_FLIGHT_BYTES
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.consumer.assignment import PartitionAssignment
from labelstream.workers.stream.delivery.at_least_once import AtLeastOnce
from labelstream.workers.stream.flow_control.poll_budget import PollBudget
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.producer.kafka_producer.producers import IdempotentProducer
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.record_batch.limits import weight
from labelstream.workers.stream.stats import Stats
from tests.support.fakes import FakeClassifier

A = TopicPartition("in", 0)


def record(offset: int, value: bytes | None, key: bytes | None = b"k", headers: Any = ()) -> ConsumerRecord:
    sizes = len(key or b""), len(value or b""), sum(len(name) + len(content or b"") for name, content in headers)
    return ConsumerRecord("in", 0, 0, offset, int(time.time() * 1000), 0, key, value, list(headers), None, *sizes)


class FakeSource:
    """A fake RecordSource, which polls records that the test put in."""

    def __init__(self) -> None:
        self.assignment = PartitionAssignment()
        self.assignment.on_partitions_assigned([A])
        self.partition_hold = SimpleNamespace(
            release=self.assignment.release, suspects=SimpleNamespace(is_waiting=False)
        )
        self.committer = self  # as RecordSource has one
        self.suspects = False
        self.waiting: list[list[ConsumerRecord]] = []
        self.polls: list[bool] = []
        self.timeouts_ms: list[int] = []
        self.commits: list[dict[TopicPartition, int]] = []

    def poll(self, timeout_ms: int, paused: bool, max_records: int, room: PollBudget) -> Any:
        self.polls.append(paused)
        self.timeouts_ms.append(timeout_ms)
        if paused or not self.waiting:
            return []
        records = list(takewhile(lambda record: room.takes(weight(record)), self.waiting[0]))
        self.waiting[0] = self.waiting[0][len(records) :]
        if not self.waiting[0]:
            del self.waiting[0]
        if not records:
            return []
        progress = self.assignment.get(A)
        assert progress is not None
        progress.receive(records[0].offset, records[-1].offset)
        return [(progress, records)]

    def joining(self) -> bool:
        return False

    def alone(self) -> bool:
        return self.suspects

    def commit(self) -> None:
        offsets = self.assignment.committable()
        if offsets:
            self.commits.append(offsets)
            self.assignment.committed(offsets)

    def commit_and_wait(self, timeout_ms: int) -> bool:
        self.commit()
        return True


class Ack(Future):
    """A fake FutureRecordMetadata."""

    def get(self, timeout: float) -> None:
        if self.failed():
            raise self.exception


class NetClient:
    """A fake of a producer's KafkaClient. `throttle_ms`: how long the brokers accept nothing."""

    def __init__(self) -> None:
        self.cluster = SimpleNamespace(brokers=lambda: [SimpleNamespace(node_id=0)])
        self._manager = SimpleNamespace(_conns={})
        self.throttle_ms = 0.0

    def throttle_delay(self, node_id: int) -> float:
        return self.throttle_ms

    def connection_delay(self, node_id: int) -> float:
        return 0.0


class FakeProducer:
    """A fake KafkaProducer: keeps sent records, and acknowledges them at once or when the test does."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes | None, list[tuple[str, bytes]], int | None]] = []
        self.acks: list[Ack] = []
        self.hold = self.broken = False
        self._accumulator = SimpleNamespace(config={}, abort_undrained_batches=None)
        self._sender: Any = SimpleNamespace(join=lambda timeout: None, is_alive=lambda: False, _client=NetClient())
        self._metadata = SimpleNamespace(partitions_for_topic=lambda topic: {0, 1})
        self.too_large: Callable[[str, bytes], bool] = lambda topic, value: False

    def send(
        self, topic: str, value: bytes, key: bytes | None, headers: Any, partition: int | None, timestamp_ms: int | None
    ) -> Ack:
        self.sent.append((topic, value, key, headers, partition))
        ack = Ack()
        self.acks.append(ack)
        self.broken = self.broken or self.too_large(topic, value)
        if self.broken:  # as kafka-python's idempotent producer: every later record fails with the same error
            ack.failure(MessageSizeTooLargeError())
        elif not self.hold:
            ack.success(None)
        return ack

    def send_batch(self, topic: str, records: Any) -> list[Ack]:
        return [self.send(topic, one.value, one.key, one.headers, one.partition, one.timestamp_ms) for one in records]

    def close(self, timeout: float) -> None:
        self.broken = False

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(value) for topic, value, *_ in self.sent if topic == "out"]

    def taken(self) -> list[dict[str, Any]]:
        """The acknowledged results."""
        return [
            json.loads(value)
            for (topic, value, *_), ack in zip(self.sent, self.acks, strict=True)
            if topic == "out" and ack.is_done and not ack.failed()
        ]

    def letters(self) -> list[dict[str, str]]:
        return [
            {k: v.decode() for k, v in headers} | {"value": value.decode("latin-1")}
            for topic, value, _, headers, _ in self.sent
            if topic == "dlq"
        ]


class Bench:
    """One pipeline with all of its collaborators."""

    def __init__(
        self,
        classifiers: Mapping[str, Classifier] | None = None,
        limits: TopicLimits | None = None,
        one_by_one: int = 0,
        max_bytes: int = MAX_IN_FLIGHT_BYTES,
        classifier: FakeClassifier | None = None,
        clock: Callable[[], float] = time.monotonic,
        **more: Any,
    ) -> None:
        bytes_ = {"max_in_flight_bytes": max_bytes, "max_batch_bytes": max_bytes}
        self.settings = PipelineSettings(
            **{
                "input": "in",
                "output": "out",
                "dead_letter": "dlq",
                "model": "m",
                "commit_interval_ms": 10,
                "limits": bytes_,
                **more,
            }
        )
        self.classifier = classifier or FakeClassifier()
        self.source, self.producer, self.stats = FakeSource(), FakeProducer(), Stats()
        producer = IdempotentProducer(lambda: self.producer)  # type: ignore[arg-type,return-value]
        self.sink = sink = ResultSink("p", self.settings, producer, limits or TopicLimits())
        sink.isolation.isolate(one_by_one)
        delivery = AtLeastOnce(self.settings, self.source, sink, self.stats)  # type: ignore[arg-type]
        self.pipeline = Pipeline(
            self.settings,
            self.source,  # type: ignore[arg-type]
            delivery,  # type: ignore[arg-type]
            classifiers or {"m": self.classifier},
            self.stats,
            clock=clock,
        )

    def feed(self, *values: bytes | None, first: int = 0) -> None:
        self.source.waiting.append([record(first + i, value) for i, value in enumerate(values)])

    def turn_until(self, condition: Callable[[], bool], accept: bool = True) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "nothing happened for 10 s"
            self.pipeline.run_once(accept)
            time.sleep(0.002)

    def run_dry(self) -> None:
        self.turn_until(lambda: not self.source.waiting and self.pipeline.drained())
        self.turn_until(lambda: not self.source.assignment.committable())


def message(text: str, **more: Any) -> bytes:
    return json.dumps({"text": text, **more}).encode()


def run_dry(bench: Bench) -> None:
    """Without waiting for a commit."""
    bench.turn_until(lambda: not bench.source.waiting and bench.pipeline.drained())


def turns(bench: Bench, times: int = 20) -> None:
    for _ in range(times):
        bench.pipeline.run_once(True)
