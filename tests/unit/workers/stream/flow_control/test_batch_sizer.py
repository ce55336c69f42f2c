"""How large micro-batches become, on a clock that the test turns."""

import pytest

from labelstream.workers.stream.flow_control.batch_sizer import BATCH_S, FIRST_RECORDS, BatchSizer
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(sizer: BatchSizer, clock: Clock, per_s: float, batches: int = 30) -> int:
    """A backlog and a model that answers `per_s` messages a second; the size of the last micro-batch."""
    size = 0
    for _ in range(batches):
        size = sizer.next_size()
        received_at = clock.now
        clock.now += size / per_s
        sizer.answered(size, received_at)
    return size


def test_it_begins_small_and_a_fast_model_soon_gets_all(clock: Clock) -> None:
    sizer = BatchSizer(512, 4, 15, clock)
    assert sizer.next_size() == FIRST_RECORDS
    assert run(sizer, clock, per_s=20_000, batches=2) == 512
    assert BatchSizer(10, 4, 15, clock).next_size() == 10


@pytest.mark.parametrize("per_s", [0.2, 3, 30, 200])
def test_a_micro_batch_is_two_seconds_of_a_slow_model(clock: Clock, per_s: float) -> None:
    assert run(BatchSizer(512, 4, 15, clock), clock, per_s) == max(1, int(per_s * BATCH_S + 1e-9))


@pytest.mark.parametrize(("per_s", "expected"), [(5_000, 512), (10_000, 1_000), (100_000, 2_048)])
def test_only_a_fast_model_gets_large_micro_batches(clock: Clock, per_s: float, expected: int) -> None:
    assert run(BatchSizer(2_048, 4, 15, clock), clock, per_s) == pytest.approx(expected, abs=1)
    assert run(BatchSizer(100, 4, 15, clock), clock, per_s) == 100


def test_what_is_in_flight_fits_the_drain(clock: Clock) -> None:
    size = run(BatchSizer(512, max_in_flight=10, in_flight_s=2.5, clock=clock), clock, per_s=100)
    assert 10 * size / 100 <= 2.5


def test_batch_size_shrinks_with_in_flight_under_short_drain(clock: Clock) -> None:
    sizer = BatchSizer(512, max_in_flight=4, in_flight_s=15, clock=clock)
    assert run(sizer, clock, per_s=200) == 400
    sizer.max_in_flight = 60
    assert run(sizer, clock, per_s=200) == 50


def test_answers_that_come_together_count_together(clock: Clock) -> None:
    """Two micro-batches joined on the device: the second takes no time of its own."""
    sizer = BatchSizer(512, 4, 15, clock)
    for _ in range(8):
        received_at = clock.now
        clock.now += 4.0
        sizer.answered(100, received_at)
        sizer.answered(100, received_at)
    assert sizer.next_size() == 200 / 4 * BATCH_S


def test_idle_time_is_not_the_models(clock: Clock) -> None:
    sizer = BatchSizer(512, 4, 15, clock)
    for _ in range(8):
        clock.now += 60
        received_at = clock.now
        clock.now += 0.01
        sizer.answered(1, received_at)
    assert sizer.next_size() == 200
