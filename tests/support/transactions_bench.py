"""A pipeline with transactions and without a broker; the test reads what each transaction holds."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from kafka.errors import (
    MessageSizeTooLargeError,
)
from kafka.future import Future

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.delivery.exactly_once import ExactlyOnce
from labelstream.workers.stream.delivery.last_transaction import LastTransaction
from labelstream.workers.stream.delivery.transactions import TransactionalProducer
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats
from tests.support.fakes import FakeClassifier
from tests.support.pipeline_bench import Ack, FakeSource, NetClient, record

# Initialised, and cleared of offsets that a broker may have kept of aborted transactions.
BEGINNING = ["init", "begin", "clear", "abort"]


MEMBER = SimpleNamespace(generation_id=3, member_id="me")


class Link:
    """A fake of a producer's connections. `states`: what the coordinator reports, the last one for good."""

    def __init__(self) -> None:
        self.states: list[str | Exception] = ["CompleteCommit"]
        self.asked = 0
        self.reconnect()

    def reconnect(self) -> None:
        self._conns = {"coordinator-0": SimpleNamespace(connected=True)}

    def call_soon(self, call: Callable[[], Future]) -> Future:
        return call()

    def send(self, request: Any, node_id: str) -> Future:
        assert (request.transactional_ids, node_id) == (["an-id"], "coordinator-0")
        self.asked += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            return Future().failure(state)
        return Future().success(SimpleNamespace(transaction_states=[SimpleNamespace(transaction_state=state)]))


class Broker:
    """The committed and aborted transactions of all producers, each with its values and offsets."""

    def __init__(self) -> None:
        self.producers: list[PaperProducer] = []
        self.link = Link()
        self.committed: list[tuple[list[bytes], dict[Any, int]]] = []
        self.calls: list[str] = []
        self.fail_ack: Exception | None = None
        self.fail_offsets: list[Exception] = []
        self.fail_commit: list[Exception] = []
        self.too_large: Callable[[bytes], bool] = lambda value: False
        self.on_commit: Callable[[PaperProducer], None] = lambda producer: None

    def connect(self) -> Any:
        self.producers.append(PaperProducer(self, len(self.producers)))
        return self.producers[-1]


class PaperProducer:
    """A fake KafkaProducer with a transactional id."""

    def __init__(self, broker: Broker, epoch: int) -> None:
        self._broker = broker
        self.added: list[Any] = []
        self._transaction_manager = SimpleNamespace(
            transactional_id="an-id",
            _transaction_coordinator="coordinator-0",
            producer_id_and_epoch=SimpleNamespace(producer_id=7, epoch=-1),
            maybe_add_partition_to_transaction=self.added.append,
        )
        self._epoch = epoch
        self._sender = SimpleNamespace(join=lambda timeout: None, is_alive=lambda: False, _client=NetClient())
        self._sender._client._manager = broker.link
        self._metadata = SimpleNamespace(partitions_for_topic=lambda topic: {0, 1})
        self.values: list[bytes] = []
        self.offsets: dict[Any, int] = {}
        self.closed = self.broken = False

    def _call(self, name: str) -> None:
        assert not self.closed, f"{name} on a producer that was thrown away"
        self._broker.calls.append(name)

    def init_transactions(self) -> None:
        self._call("init")
        self._transaction_manager.producer_id_and_epoch.epoch = self._epoch

    def partitions_for(self, topic: str) -> set[int]:
        return {0, 1}

    def begin_transaction(self) -> None:
        self._call("begin")
        self.values, self.offsets = [], {}

    def send(
        self, topic: str, value: bytes, key: bytes | None, headers: Any, partition: int | None, timestamp_ms: int | None
    ) -> Ack:
        self._call("send")
        ack = Ack()
        if self._broker.too_large(value):
            self.broken = True
        if self.broken:
            ack.failure(MessageSizeTooLargeError())
        elif self._broker.fail_ack is not None:
            ack.failure(self._broker.fail_ack)
            self._broker.fail_ack = None
        else:
            self.values.append(value)
            ack.success(None)
        return ack

    def send_batch(self, topic: str, records: Any) -> list[Ack]:
        return [self.send(topic, one.value, one.key, one.headers, one.partition, one.timestamp_ms) for one in records]

    def send_offsets_to_transaction(self, offsets: Any, membership: Any) -> None:
        if membership is not MEMBER:
            self._call("clear")
            assert [tuple(partition) for partition in self.added] == [("out", 0), ("out", 1), ("dlq", 0), ("dlq", 1)]
            return
        self._call("offsets")
        if self._broker.fail_offsets:
            raise self._broker.fail_offsets.pop(0)
        self.offsets = {partition: offset.offset for partition, offset in offsets.items()}

    def commit_transaction(self) -> None:
        self._call("commit")
        self._broker.on_commit(self)
        if self._broker.fail_commit:
            raise self._broker.fail_commit.pop(0)
        self._broker.committed.append((self.values, self.offsets))

    def abort_transaction(self) -> None:
        self._call("abort")

    def close(self, timeout: float) -> None:
        self.closed = True


class Last(LastTransaction):
    """The last transaction of the id, whose outcome the test sets. The coordinator forgets it after one look."""

    def __init__(self) -> None:
        super().__init__({}, "an-id")
        self.at_coordinator = False

    def look(self) -> None:
        self.was_committed |= self.at_coordinator
        self.at_coordinator = False


class Source(FakeSource):
    """Knows a group."""

    def __init__(self) -> None:
        super().__init__()
        self.member: Any = MEMBER
        self.when_asked: Callable[[], None] = lambda: None
        self.group: dict[Any, int] | None = {}

    def committed(self, partitions: Any) -> dict[Any, int] | None:
        return self.group

    def group_metadata(self) -> Any:
        self.when_asked()
        return self.member


class Bench:
    """One pipeline with transactions of 10 ms."""

    def __init__(self, commit_timeout_s: float = 5.0, **more: Any) -> None:
        self.settings = PipelineSettings(
            **{
                "input": "in",
                "output": "out",
                "dead_letter": "dlq",
                "model": "m",
                "delivery": "exactly_once",
                "transaction_interval_ms": 10,
                **more,
            }
        )
        self.broker, self.source, self.stats, self.classifier = Broker(), Source(), Stats(), FakeClassifier()
        self.last = Last()
        self.producer = TransactionalProducer(self.broker.connect, "g", self.settings, self.last)
        sink = ResultSink("p", self.settings, self.producer, TopicLimits())
        self.delivery = ExactlyOnce(
            self.settings,
            self.source,  # type: ignore[arg-type]
            sink,
            self.producer,
            self.stats,  # type: ignore[arg-type]
            commit_timeout_s,
        )
        self.pipeline = Pipeline(
            self.settings,
            self.source,  # type: ignore[arg-type]
            self.delivery,  # type: ignore[arg-type]
            {"m": self.classifier},
            self.stats,
        )

    def feed(self, *values: bytes, first: int = 0) -> None:
        self.source.waiting.append([record(first + i, value) for i, value in enumerate(values)])

    def turn_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "nothing happened for 10 s"
            self.pipeline.run_once(True)
            time.sleep(0.002)

    def turn_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.pipeline.run_once(True)

    def commits(self, count: int) -> Callable[[], bool]:
        """Run until so many transactions are committed and the pipeline knows it."""
        return lambda: self.stats.snapshot()["transactions"] == count

    def offsets(self) -> list[dict[Any, int]]:
        return [offsets for _, offsets in self.broker.committed]

    def texts(self) -> list[int]:
        return [len(values) for values, _ in self.broker.committed]
