"""How much is on its way to the brokers, on a clock that the test turns; and what a full, throttled or missing topic
does.
"""

import pytest

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.flow_control import send_window as flow
from labelstream.workers.stream.flow_control.send_window import (
    FIRST_BYTES,
    MAX_BYTES,
    MIN_BYTES,
    SLOW_S,
    SendWindow,
    Throttle,
)
from tests.support.clock import Clock
from tests.support.pipeline_bench import A, Bench, message
from tests.support.transactions_bench import Bench as Transactions

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
    assert throttle.alarms() == {}
    left[0] = 3.0
    assert "producer_byte_rate" in throttle.alarms()["throttle"]
    left[0], clock.now = 0.0, clock.now + 3.0 + flow.CALM_S
    assert throttle.alarms()
    clock.now += 1
    assert throttle.alarms() == {}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is on its way at any time."""
    monkeypatch.setattr(flow, "FIRST_BYTES", 4_000)
    monkeypatch.setattr(flow, "MAX_BYTES", 4_000)


@pytest.mark.usefixtures("small")
def test_unacknowledged_bytes_stay_bounded_and_polls_pause(request: pytest.FixtureRequest) -> None:
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
def test_transaction_is_no_larger_than_send_window(request: pytest.FixtureRequest) -> None:
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
    assert "throttle" in bench.pipeline.monitor.obstacles()
    client.throttle_ms = 0
    bench.turn_until(bench.commits(1))
