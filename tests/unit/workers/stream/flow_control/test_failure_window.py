"""The share of failed messages in a window, on a clock that the test turns."""

from labelstream.workers.settings.pipeline import BreakerSettings
from labelstream.workers.stream.flow_control.failure_window import FailureRateWindow
from tests.support.clock import Clock


class TestBreaker:
    def test_it_needs_a_sample_and_a_share(self) -> None:
        breaker = FailureRateWindow(BreakerSettings(min_messages=100), Clock())
        assert breaker.admits(99, 99)
        assert not breaker.admits(1, 1)
        assert breaker.tripped
        breaker = FailureRateWindow(BreakerSettings(min_messages=100), Clock())
        assert breaker.admits(60, 0)
        assert breaker.admits(60, 60)
        assert not breaker.admits(10, 10)

    def test_what_is_old_does_not_count(self) -> None:
        clock = Clock()
        breaker = FailureRateWindow(BreakerSettings(min_messages=100, window_s=60), clock)
        assert breaker.admits(99, 99)
        clock.now += 61
        assert breaker.admits(99, 99)

    def test_good_ones_pass_whatever_went_before(self) -> None:
        clock = Clock()
        breaker = FailureRateWindow(BreakerSettings(min_messages=10), clock)
        assert breaker.admits(100, 0)
        clock.now += 30
        assert breaker.admits(90, 90)
        clock.now += 31  # the good ones are forgotten, the bad ones are not
        assert breaker.admits(5, 0)
        assert not breaker.admits(5, 5)

    def test_a_reset_lasts_for_a_sample(self) -> None:
        breaker = FailureRateWindow(BreakerSettings(min_messages=10), Clock())
        assert not breaker.admits(10, 10)
        breaker.reset(grace=10)
        assert breaker.admits(9, 9)
        assert breaker.admits(9, 9)
        assert not breaker.admits(1, 1)

    def test_once_tripped_no_sample_is_needed_until_something_passes(self) -> None:
        breaker = FailureRateWindow(BreakerSettings(min_messages=10), Clock())
        assert not breaker.admits(10, 10)
        assert not breaker.admits(1, 1)
        assert breaker.admits(1, 0)
        assert breaker.admits(1, 1)

    def test_it_can_be_turned_off(self) -> None:
        assert FailureRateWindow(BreakerSettings(max_share=1, min_messages=1), Clock()).admits(1_000, 1_000)
        assert not FailureRateWindow(BreakerSettings(max_share=0, min_messages=1), Clock()).admits(1_000, 1)
