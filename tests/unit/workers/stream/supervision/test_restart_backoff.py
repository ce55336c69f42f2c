"""Pauses between runs grow only while nothing comes of them."""

import pytest

from labelstream.workers.stream.supervision import restart_backoff
from labelstream.workers.stream.supervision.restart_backoff import RestartBackoff
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(restarts: RestartBackoff, clock: Clock, lasts_s: float, delivers: int) -> float:
    restarts.began(0)
    clock.now += lasts_s
    return restarts.ended(delivers)


def test_pauses_double_up_to_half_a_minute(clock: Clock) -> None:
    fresh = RestartBackoff(clock)
    assert [run(fresh, clock, 1, 0) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("lasts_s", "delivers", "pause_s"), [(11, 1, 1), (9, 1, 4), (600, 0, 4)])
def test_only_a_long_run_that_delivered_begins_anew(
    clock: Clock, lasts_s: float, delivers: int, pause_s: float
) -> None:
    tried = RestartBackoff(clock)
    for _ in range(2):
        run(tried, clock, 1, 0)
    assert run(tried, clock, lasts_s, delivers) == pause_s


def test_too_many_in_a_row_are_counted_until_a_run_has_partitions(clock: Clock) -> None:
    tried = RestartBackoff(clock)
    for _ in range(restart_backoff.MAX_IN_ROW):
        run(tried, clock, 1, 0)
    assert not tried.too_many()
    run(tried, clock, 1, 0)
    assert tried.too_many()
    tried.joined()
    assert not tried.too_many()
