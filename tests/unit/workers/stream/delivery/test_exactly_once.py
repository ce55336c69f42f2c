"""Exactly-once: one test for each way in which kafka-python's transactions lose or repeat, with a producer of paper."""

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import (
    CommitFailedError,
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
)
from kafka.structs import ConsumerGroupMetadata, TopicPartition  # pyright: ignore

from labelstream.workers import failpoints
from labelstream.workers.errors import Fenced
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.consumer.assignment import PartitionAssignment
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.delivery.exactly_once import ExactlyOnce
from labelstream.workers.stream.delivery.transactions import TransactionalProducer
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats
from tests.support.fakes import FakeClassifier
from tests.unit.workers.stream.test_pipeline import A, Ack, FakeSource, NetClient, message, record

# Initialised, and cleared of offsets that a broker may have kept of aborted transactions.
BEGINNING = ["init", "begin", "clear", "abort"]
MEMBER = SimpleNamespace(generation_id=3, member_id="me")


class Broker:
    """What became of all producers: committed and aborted transactions, each with its values and offsets."""

    def __init__(self) -> None:
        self.producers: list[PaperProducer] = []
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
    """Stands in for KafkaProducer with a transactional id."""

    def __init__(self, broker: Broker, epoch: int) -> None:
        self._broker = broker
        self.added: list[Any] = []
        self._transaction_manager = SimpleNamespace(
            producer_id_and_epoch=SimpleNamespace(producer_id=7, epoch=-1),
            maybe_add_partition_to_transaction=self.added.append,
        )
        self._epoch = epoch
        self._sender = SimpleNamespace(join=lambda timeout: None, is_alive=lambda: False, _client=NetClient())
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
        return [self.send(topic, *record) for record in records]

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


class Source(FakeSource):
    """Knows a group."""

    def __init__(self) -> None:
        super().__init__()
        self.member: Any = MEMBER
        self.when_asked: Callable[[], None] = lambda: None
        self.group: dict[Any, int] | None = {}

    def committed(self, partitions: Any) -> dict[Any, int] | None:
        return self.group

    def membership(self) -> Any:
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
        self.producer = TransactionalProducer(self.broker.connect, "g", self.settings)
        sink = ResultSink("p", self.settings, self.producer, TopicLimits())
        self.delivery = ExactlyOnce(
            self.settings,
            self.source,
            sink,
            self.producer,
            self.stats,  # type: ignore[arg-type]
            commit_timeout_s,
        )
        self.pipeline = Pipeline(
            self.settings,
            self.source,
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
        """So many transactions are committed, and the pipeline knows it."""
        return lambda: self.stats.snapshot()["transactions"] == count

    def offsets(self) -> list[dict[Any, int]]:
        return [offsets for _, offsets in self.broker.committed]

    def texts(self) -> list[int]:
        return [len(values) for values, _ in self.broker.committed]


@pytest.fixture
def benches() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**more: Any) -> Bench:
        made.append(Bench(**more))
        return made[-1]

    yield make
    for bench in made:
        bench.classifier.gate.set()
        bench.classifier.close()


def test_results_dead_letters_and_offsets_share_a_transaction(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.feed(message("a"), b"no json", message("b"))
    bench.turn_until(bench.commits(1))
    assert bench.texts() == [3]
    assert bench.offsets() == [{A: 3}]
    assert bench.broker.calls == [*BEGINNING, "begin", "send", "send", "send", "offsets", "commit"]
    assert bench.source.commits == []  # never by the consumer
    assert bench.stats.snapshot()["results_out"] == 2
    bench.feed(message("c"), first=3)
    bench.turn_until(bench.commits(2))
    assert bench.offsets()[1] == {A: 4}
    assert len(bench.broker.producers) == 1


def test_a_transaction_ends_by_count_too(benches: Callable[..., Bench]) -> None:
    bench = benches(transaction_interval_ms=60_000, transaction_max_messages=2)
    bench.feed(message("a"), message("b"))
    bench.turn_until(bench.commits(1))
    assert bench.offsets() == [{A: 2}]


def test_a_transaction_ends_by_bytes_too_and_what_waits_for_its_commit_is_in_flight(
    benches: Callable[..., Bench],
) -> None:
    """The limit is 1 MiB, and a message has 200 KB: the third is over the half of it."""
    bench = benches(
        transaction_interval_ms=60_000,
        max_poll_records=1,
        limits={"max_in_flight_bytes": 1 << 20, "max_batch_bytes": 1 << 20},
    )
    bench.feed(message("x" * 200_000), message("x" * 200_000))
    bench.turn_until(lambda: bench.broker.calls.count("send") == 2 and bench.pipeline.drained())
    assert bench.delivery.kept() > 400_000
    bench.feed(message("x" * 900_000), first=2)  # finds no room behind the two
    bench.turn_for(0.05)
    assert len(bench.source.waiting) == 1
    bench.source.waiting.clear()
    bench.feed(message("x" * 200_000), message("x" * 800_000), first=2)
    bench.turn_until(bench.commits(1))
    assert bench.offsets() == [{A: 3}]
    assert bench.delivery.kept() == 0
    bench.turn_until(bench.commits(2))
    assert bench.offsets()[1] == {A: 4}


def test_an_expired_batch_is_never_committed_around(benches: Callable[..., Bench]) -> None:
    """Hazard: the producer commits a transaction whose batch has expired, without it."""
    bench = benches()
    bench.broker.fail_ack = KafkaTimeoutError("expired")
    bench.feed(message("a"), message("b"))
    bench.turn_until(lambda: bool(bench.pipeline.obstacles()))
    assert "expired" in bench.pipeline.obstacles()["transaction"]
    bench.turn_until(bench.commits(1))
    assert bench.broker.calls == [
        *BEGINNING,
        "begin",
        "send",
        "send",
        *BEGINNING,
        "begin",
        "send",
        "send",
        "offsets",
        "commit",
    ]
    assert bench.offsets() == [{A: 2}]
    assert bench.pipeline.obstacles() == {}


def test_nothing_is_committed_before_every_acknowledgement(benches: Callable[..., Bench]) -> None:
    bench = benches()
    held: list[Ack] = []
    original = PaperProducer.send

    def send(producer: PaperProducer, *args: Any) -> Ack:
        original(producer, *args)
        held.append(Ack())
        return held[-1]

    bench.broker.producers[0].send = lambda *args: send(bench.broker.producers[0], *args)  # type: ignore[method-assign]
    bench.feed(message("a"), message("b"))
    bench.turn_until(lambda: len(held) == 2)
    held[1].success(None)
    bench.turn_for(0.1)
    assert "offsets" not in bench.broker.calls
    held[0].success(None)
    bench.turn_until(bench.commits(1))


def test_a_commit_across_an_epoch_bump_does_not_count(benches: Callable[..., Bench]) -> None:
    """Hazard: commit_transaction reports success although a bump in between has aborted the transaction."""
    bench = benches()

    def bump(producer: PaperProducer) -> None:
        producer._transaction_manager.producer_id_and_epoch.epoch += 1

    bench.broker.on_commit = bump
    bench.feed(message("a"))
    bench.turn_until(lambda: len(bench.broker.producers) == 2)
    assert bench.stats.snapshot()["results_out"] == 0


def test_a_note_is_not_taken_back_while_its_offset_may_be_passed(benches: Callable[..., Bench]) -> None:
    """To commit the old offset again, behind the transaction's, would repeat what is committed."""
    bench = benches()
    progress = bench.source.assignment.get(A)
    assert progress is not None
    held: list[tuple[str, str]] = []

    def commit(producer: PaperProducer) -> None:
        held.append((progress.note, progress.prior))
        if len(held) == 1:
            raise CommitFailedError

    abort = bench.delivery._abort
    monitored: list[tuple[str, str]] = []

    def aborted() -> Any:
        void = abort()
        monitored.append((progress.note, progress.prior))
        return void

    bench.delivery._abort = aborted  # type: ignore[method-assign]
    bench.broker.on_commit = commit
    progress.note, progress.prior = "of this worker", "of an earlier one"
    bench.feed(message("a"))
    bench.turn_until(bench.commits(1))
    assert held == [("", ""), ("", "")]
    assert monitored == [("of this worker", "of an earlier one")]  # an end in order takes it back then


def test_of_lost_partitions_nothing_is_waited_for(benches: Callable[..., Bench]) -> None:
    """Not even where they fill the head of a micro-batch that is sent in parts."""
    bench = benches()
    lost = TopicPartition("in", 7)
    assignment = bench.source.assignment
    assignment.on_partitions_assigned([lost])
    polled = [[(assignment.get(partition), [record(0, value)]) for partition, value in ((lost, b"{"), (A, b"{"))]]
    poll = bench.source.poll
    bench.source.poll = lambda *args: polled.pop() if polled else poll(*args)  # type: ignore[method-assign]
    bench.turn_until(lambda: bool(bench.pipeline._in_flight))
    assignment.on_partitions_lost({lost})
    bench.turn_until(bench.commits(1))
    assert bench.offsets() == [{A: 1}]
    assert bench.stats.snapshot()["transactions_aborted"] == 0


@pytest.mark.parametrize("took_effect", [True, False])
def test_of_a_commit_without_an_end_the_groups_offsets_tell_what_became_of_it(
    benches: Callable[..., Bench], took_effect: bool
) -> None:
    """Hazard: commit_transaction waits without a limit, and its outcome is unknown then."""
    bench = benches(commit_timeout_s=0.2)
    stuck, asked = threading.Event(), []

    def commit(producer: PaperProducer) -> None:
        if asked:
            return
        asked.append(producer)
        if took_effect:
            bench.source.group = {A: 1}
        stuck.wait(5)
        raise KafkaError("closed")

    bench.broker.on_commit = commit
    bench.feed(message("a"))
    try:
        bench.turn_until(bench.commits(1))
    finally:
        stuck.set()
    assert bench.offsets() == ([] if took_effect else [{A: 1}])
    assert bench.stats.snapshot()["results_out"] == 1
    assert [producer.closed for producer in bench.broker.producers] == [True, False]


def test_as_long_as_the_groups_offsets_are_not_told_nothing_goes_on(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.source.group, bench.broker.fail_commit = None, [KafkaError("who knows")]
    bench.feed(message("a"))
    bench.feed(message("b"), first=1)
    bench.turn_until(lambda: len(bench.broker.producers) == 2)
    bench.turn_for(0.2)
    assert bench.broker.calls[-len(BEGINNING) :] == BEGINNING
    assert "who knows" in bench.pipeline.obstacles()["transaction"]
    bench.source.group = {}
    bench.turn_until(bench.commits(1))
    assert sum(bench.texts()) <= 2


def test_nothing_is_committed_outside_of_the_group(benches: Callable[..., Bench]) -> None:
    """Hazard: with generation -1 the broker takes offsets unchecked."""
    bench = benches()
    bench.source.member = None
    bench.feed(message("a"))
    bench.turn_for(0.2)
    assert "offsets" not in bench.broker.calls
    bench.source.member = MEMBER
    bench.turn_until(bench.commits(1))


def test_the_membership_is_read_before_what_is_held(benches: Callable[..., Bench]) -> None:
    """Hazard: the client shows a new generation before the assignment that came with it.

    Read the other way round, a partition that is gone would be committed under the new generation.
    """
    bench = benches()

    def take_away() -> None:
        bench.source.assignment.on_partitions_lost({A})

    bench.source.when_asked = take_away
    bench.feed(message("a"))
    bench.turn_until(lambda: len(bench.broker.producers) == 2)
    bench.turn_for(0.1)
    assert bench.broker.committed == []
    assert "offsets" not in bench.broker.calls


def test_after_an_abort_a_new_producer_sends_again_what_stays(benches: Callable[..., Bench]) -> None:
    """Hazard: aborted offsets leak into the next transaction, and late writes of an aborted one may join it."""
    bench = benches()
    bench.broker.fail_offsets = [CommitFailedError("another generation")]
    bench.feed(message("a"), message("b"))
    bench.turn_until(bench.commits(1))
    again = [*BEGINNING, "begin", "send", "send", "offsets"]
    assert bench.broker.calls == [*again, *again, "commit"]
    assert [producer.closed for producer in bench.broker.producers] == [True, False]
    assert bench.texts() == [2]
    assert bench.stats.snapshot()["results_out"] == 2
    assert sum(bench.classifier.calls) == 2  # classified once


def test_lost_partitions_are_not_sent_again(benches: Callable[..., Bench]) -> None:
    bench = benches(transaction_interval_ms=60_000)
    bench.feed(message("a"))
    bench.turn_until(lambda: "send" in bench.broker.calls)
    bench.source.assignment.on_partitions_lost({A})
    bench.turn_until(lambda: len(bench.broker.producers) == 2)
    bench.turn_for(0.1)
    assert bench.broker.calls == [*BEGINNING, "begin", "send", *BEGINNING]
    assert bench.broker.committed == []


def test_partitions_that_are_taken_away_are_committed_before_the_next_poll(benches: Callable[..., Bench]) -> None:
    bench = benches(transaction_interval_ms=60_000)
    bench.feed(message("a"))
    bench.turn_until(lambda: "send" in bench.broker.calls)
    bench.source.assignment.on_partitions_revoked({A})
    polls = len(bench.source.polls)
    bench.turn_until(lambda: len(bench.source.polls) > polls)
    assert bench.offsets() == [{A: 1}]
    assert len(bench.broker.producers) == 1


@pytest.mark.parametrize("error", [ProducerFencedError(), InvalidProducerEpochError()])
def test_a_fenced_worker_ends(benches: Callable[..., Bench], error: KafkaError) -> None:
    bench = benches()
    bench.broker.fail_commit = [error]
    bench.feed(message("a"))
    with pytest.raises(Fenced):
        bench.turn_for(1)
    assert not Fenced.retriable


def test_a_fenced_send_is_no_ordinary_failure(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.broker.fail_ack = InvalidProducerEpochError()
    bench.feed(message("a"))
    with pytest.raises(Fenced):
        bench.turn_for(1)


def test_a_result_that_the_broker_refuses_becomes_a_dead_letter_in_a_transaction_of_its_neighbours(
    benches: Callable[..., Bench],
) -> None:
    bench = benches()
    bench.broker.too_large = lambda value: value.startswith(b'{"schema') and b'"id":"big"' in value
    bench.feed(message("a"), message("b", id="big"), message("c"))
    bench.turn_until(bench.commits(1))
    ((values, offsets),) = bench.broker.committed
    assert offsets == {A: 3}
    assert sorted(value.startswith(b'{"schema') for value in values) == [False, True, True]
    snapshot = bench.stats.snapshot()
    assert (snapshot["results_out"], snapshot["dead_letters"]) == (2, {"result_too_large": 1})


def test_stopping_aborts_what_is_open(benches: Callable[..., Bench]) -> None:
    bench = benches(transaction_interval_ms=60_000)
    bench.feed(message("a"))
    bench.turn_until(lambda: "send" in bench.broker.calls)
    bench.producer.close(1)
    assert bench.broker.calls[-1] == "abort"
    assert bench.broker.committed == []


def test_a_commit_passes_its_failpoints_in_order(benches: Callable[..., Bench]) -> None:
    bench, points = benches(), []
    failpoints.install(points.append)
    try:
        bench.feed(message("a"))
        bench.turn_until(bench.commits(1))
    finally:
        failpoints.install(None)
    assert tuple(points) == failpoints.POINTS


@pytest.mark.parametrize(
    ("generation", "member", "fenced"),
    [(-1, "", False), (-1, "me", False), (3, "", False), (0, "me", True), (3, "me", True)],
)
def test_only_a_member_of_a_generation_can_be_fenced(generation: int, member: str, fenced: bool) -> None:
    """Hazard: after being kicked out the client's metadata has generation -1, which a broker takes without a check."""
    source = RecordSource.__new__(RecordSource)
    metadata = ConsumerGroupMetadata(group_id="g", generation_id=generation, member_id=member)
    source._consumer = SimpleNamespace(group_metadata=lambda: metadata)
    source.assignment, source._membership = PartitionAssignment(), SimpleNamespace(losses=0)  # type: ignore[assignment]
    assert source.membership() is (metadata if fenced else None)
