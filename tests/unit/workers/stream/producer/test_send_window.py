"""How much is on its way to the brokers, on a clock that the test turns; and what a full, throttled or missing topic
does.
"""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.batch import Item, MicroBatch
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.producer import destinations
from labelstream.workers.stream.producer import send_window as flow
from labelstream.workers.stream.producer.destinations import Destinations
from labelstream.workers.stream.producer.send_window import (
    FIRST_BYTES,
    MAX_BYTES,
    MIN_BYTES,
    SLOW_S,
    SendWindow,
    Throttle,
)
from tests.support.clock import Clock
from tests.support.pipeline_bench import A, Bench, message, record
from tests.support.transactions_bench import Bench as Transactions
from tests.support.transactions_bench import PaperProducer

SETTINGS = PipelineSettings.model_validate(
    {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m", "output_partition": "same"}
)


class TestFlow:
    @staticmethod
    def fill(flow: SendWindow, clock: Clock, took_s: float, more_s: float = 0.0) -> None:
        """All that there is room for goes out at once, and is acknowledged."""
        sent_at, size = clock.now, flow.limit
        flow.sent(size)
        assert flow.room() == 0
        clock.now += took_s
        flow.took(sent_at, more_s)
        flow.done(size)

    def test_a_quick_topic_soon_has_all_that_is_ever_on_its_way(self) -> None:
        clock = Clock()
        flow = SendWindow(clock)
        assert flow.room() == FIRST_BYTES
        for _ in range(8):
            self.fill(flow, clock, 0.01)
        assert flow.room() == MAX_BYTES
        self.fill(flow, clock, 0.01)
        assert flow.room() == MAX_BYTES

    def test_little_that_is_quick_says_nothing_of_much(self) -> None:
        clock = Clock()
        flow = SendWindow(clock)
        for _ in range(8):
            flow.sent(1_000)
            flow.took(clock.now)
            flow.done(1_000)
        assert flow.limit == FIRST_BYTES

    @pytest.mark.parametrize(("took_s", "more_s"), [(2 * SLOW_S, 0.0), (0.0, 2 * SLOW_S)])
    def test_what_takes_twice_as_long_is_halved(self, took_s: float, more_s: float) -> None:
        clock = Clock()
        flow = SendWindow(clock)
        self.fill(flow, clock, took_s, more_s)
        assert flow.limit == FIRST_BYTES // 2

    def test_what_was_sent_together_is_one_sign(self) -> None:
        clock = Clock()
        flow = SendWindow(clock)
        sent_at = clock.now
        clock.now += 2 * SLOW_S
        for _ in range(10):
            flow.took(sent_at)
        assert flow.limit == FIRST_BYTES // 2

    def test_it_never_ends(self) -> None:
        clock = Clock()
        flow = SendWindow(clock)
        for _ in range(20):
            flow.overdue()
        assert flow.room() == MIN_BYTES

    def test_pieces_are_no_smaller_than_half_of_what_may_be_on_its_way(self) -> None:
        flow = SendWindow(Clock())
        flow.sent(FIRST_BYTES // 2 + 1)
        assert flow.room() == 0
        flow.done(1)
        assert flow.room() == FIRST_BYTES // 2


def test_a_quota_is_told_until_it_has_been_calm_for_a_while() -> None:
    clock, left = Clock(), [0.0]
    throttle = Throttle(SETTINGS, lambda: left[0], clock)
    assert throttle.told() == {}
    left[0] = 3.0
    assert "producer_byte_rate" in throttle.told()["throttle"]
    left[0], clock.now = 0.0, clock.now + 3.0 + flow.CALM_S
    assert throttle.told()
    clock.now += 1
    assert throttle.told() == {}


class TestDestinations:
    @staticmethod
    def batch(*numbers: int, revoked: bool = False) -> Any:
        return SimpleNamespace(
            last_offsets=[(PartitionProgress(TopicPartition("in", number), revoked=revoked), 0) for number in numbers]
        )

    @staticmethod
    def made(
        known: dict[str, set[int]], settings: PipelineSettings = SETTINGS
    ) -> tuple[Destinations, list[Any], Clock]:
        asked: list[Any] = []
        clock = Clock()
        producer: Any = SimpleNamespace(partitions=lambda topic: known.get(topic, set()), look_for=asked.append)
        return Destinations(settings, producer, clock), asked, clock

    def test_a_partition_that_is_missing_is_looked_for_and_told(self) -> None:
        known = {"out": {0, 1}, "dlq": {0}}
        found, asked, clock = self.made(known)
        assert found.ready_for(self.batch(0, 1))
        assert not found.ready_for(self.batch(1, 2, 4))
        assert (asked, found.lacking()) == ([["out", "dlq"]], {})  # it may be known in a moment
        clock.now += destinations.TELL_S + 0.1
        assert not found.ready_for(self.batch(1, 2, 4))
        text = found.lacking()["destination"]
        assert "topic out has no partition 2, 4 " in text
        assert "--alter --topic out --partitions 5" in text
        assert len(asked) == 2
        known["out"] = set(range(5))
        assert found.ready_for(self.batch(1, 2, 4))
        assert found.lacking() == {}

    def test_what_was_taken_away_needs_no_partition(self) -> None:
        found, _, _ = self.made({"out": {0}, "dlq": {0}})
        assert found.ready_for(self.batch(3, revoked=True))

    def test_by_key_every_partition_will_do(self) -> None:
        found, _, _ = self.made({"out": {0}, "dlq": {0}}, SETTINGS.model_copy(update={"output_partition": "key"}))
        assert found.ready_for(self.batch(3))

    def test_a_topic_that_is_gone_is_waited_for(self) -> None:
        found, _, clock = self.made({"out": {0}})
        assert not found.ready_for(self.batch(0))
        clock.now += destinations.TELL_S + 0.1
        assert "no topic dlq" in found.lacking()["destination"]


def test_a_micro_batch_in_two_is_as_far_as_the_whole() -> None:
    first, second = (PartitionProgress(TopicPartition("in", number)) for number in (0, 1))
    items = [Item(record(offset, b"{}"), first) for offset in (5, 6)]
    items += [Item(record(offset, b"{}")._replace(partition=1), second) for offset in (8, 9)]
    batch = MicroBatch(items, [], [(first, 6), (second, 9)], Counter({0: 2, 1: 2}), 1.0)
    batch.passed_breaker = True
    head, rest = batch.split(3)
    assert (head.last_offsets, rest.last_offsets) == ([(first, 6), (second, 8)], [(second, 9)])
    assert (head.records_by_partition, rest.records_by_partition) == (Counter({0: 2, 1: 1}), Counter({1: 1}))
    assert [*head.items, *rest.items] == items
    assert head.passed_breaker
    assert rest.passed_breaker
    assert rest.received_at == batch.received_at


def test_what_was_taken_away_before_stays_out_of_both_parts() -> None:
    first, second = (PartitionProgress(TopicPartition("in", number)) for number in (0, 1))
    items = [Item(record(1, b"{}"), first), Item(record(1, b"{}")._replace(partition=1), second)]
    head, rest = MicroBatch(items, [], [(second, 1)], Counter(), 1.0).split(1)
    assert (head.last_offsets, rest.last_offsets) == ([], [(second, 1)])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is on its way at any time."""
    monkeypatch.setattr(flow, "FIRST_BYTES", 4_000)
    monkeypatch.setattr(flow, "MAX_BYTES", 4_000)


@pytest.mark.usefixtures("small")
def test_what_is_unacknowledged_stays_below_its_bound_and_polls_pause(request: pytest.FixtureRequest) -> None:
    bench = Bench(max_in_flight=4)
    request.addfinalizer(bench.classifier.close)
    bench.producer.hold = True
    for number in range(8):
        bench.feed(*[message("a", id=number) for number in range(20)], first=20 * number)
    bench.turn_until(lambda: len(bench.producer.acks) >= 4)
    for _ in range(30):
        bench.pipeline.run_once(True)
    unacknowledged = sum(len(value) for _, value, *_ in bench.producer.sent)
    assert 2_000 < unacknowledged <= 4_000
    assert bench.source.polls[-3:] == [True] * 3
    bench.turn_until(lambda: not bench.source.waiting or acknowledge(bench))
    bench.turn_until(lambda: acknowledge(bench) and bench.pipeline.drained() and not bench.source.waiting)
    assert [result["source"]["offset"] for result in bench.producer.results()] == list(range(160))
    bench.turn_until(lambda: bench.source.commits[-1] == {A: 160})


def acknowledge(bench: Bench) -> bool:
    for ack in bench.producer.acks:
        if not ack.is_done:
            ack.success(None)
    return True


@pytest.mark.usefixtures("small")
def test_a_transaction_is_no_larger_than_what_the_brokers_take_in_a_moment(request: pytest.FixtureRequest) -> None:
    bench = Transactions(transaction_interval_ms=60_000)
    request.addfinalizer(bench.classifier.close)
    bench.feed(*[message("a") for _ in range(40)])
    bench.turn_until(lambda: sum(bench.texts()) >= 39)
    assert len(bench.broker.committed) > 5
    assert all(sum(map(len, values)) <= 4_000 for values, _ in bench.broker.committed)
    assert [offsets[A] for offsets in bench.offsets()] == sorted(offsets[A] for offsets in bench.offsets())


def test_no_transaction_begins_while_the_brokers_take_nothing(request: pytest.FixtureRequest) -> None:
    bench = Transactions()
    request.addfinalizer(bench.classifier.close)
    client = bench.broker.producers[0]._sender._client
    client.throttle_ms = 1_000
    bench.feed(message("a"))
    bench.turn_for(0.2)
    assert "send" not in bench.broker.calls
    assert "throttle" in bench.pipeline.obstacles()
    client.throttle_ms = 0
    bench.turn_until(bench.commits(1))


def test_a_transaction_that_cannot_end_in_time_is_aborted_and_sent_again_in_smaller_ones(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Transactions(commit_timeout_s=0.3)
    request.addfinalizer(bench.classifier.close)
    lost = bench.broker.producers[0]
    original: Callable[..., Any] = lost.send_batch
    original_of = PaperProducer.send_batch

    def never_acknowledged(topic: str, records: Any) -> Any:
        return [SimpleNamespace(is_done=False, add_both=lambda call: None) for _ in original(topic, records)]

    monkeypatch.setattr(lost, "send_batch", never_acknowledged)
    sent: list[int] = []
    monkeypatch.setattr(
        PaperProducer,
        "send_batch",
        lambda producer, topic, records: (sent.append(len(records)), original_of(producer, topic, records))[1],
    )
    bench.feed(*[message("a") for _ in range(40)])
    bench.turn_until(lambda: "did not acknowledge 40 messages" in bench.pipeline.obstacles().get("transaction", ""))
    bench.turn_until(lambda: sum(bench.texts()) == 40)
    assert lost.closed
    assert 1 <= sent[0] < 40 // 2
    assert sum(sent) == 40
    assert sum(bench.classifier.calls) == 40  # classified once
