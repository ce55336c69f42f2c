"""Lines that come at most once in 10 s."""

from collections.abc import Callable

from labelstream.workers.stream.log_throttle import PERIOD_S, LogThrottle

Line = tuple[str, int, str]


class Timers:
    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, delay_s: float, call: Callable[[], None]) -> None:
        assert delay_s == PERIOD_S
        self.waiting.append(call)

    def fire(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


def made() -> tuple[LogThrottle[str, str], list[Line], Timers]:
    lines, timers = list[Line](), Timers()
    return LogThrottle(lambda key, count, first: lines.append((key, count, first)), timers), lines, timers


def test_first_event_of_a_key_is_logged_at_once() -> None:
    throttle, lines, _ = made()
    throttle.add("a", 2, "first")
    throttle.add("b", 1, "other")
    assert lines == [("a", 2, "first"), ("b", 1, "other")]


def test_later_events_come_in_one_line_after_the_period() -> None:
    throttle, lines, timers = made()
    for number in range(5):
        throttle.add("a", 10, str(number))
    assert lines == [("a", 10, "0")]
    timers.fire()
    assert lines[1:] == [("a", 40, "1")]
    throttle.add("a", 1, "held again")
    assert len(lines) == 2


def test_quiet_period_ends_the_throttling() -> None:
    throttle, lines, timers = made()
    throttle.add("a", 1, "x")
    timers.fire()
    assert (lines, timers.waiting) == ([("a", 1, "x")], [])
    throttle.add("a", 1, "y")
    assert lines[1:] == [("a", 1, "y")]


def test_close_logs_what_is_held_back() -> None:
    throttle, lines, timers = made()
    throttle.add("a", 1, "x")
    throttle.add("a", 3, "y")
    throttle.close()
    timers.fire()
    assert lines == [("a", 1, "x"), ("a", 3, "y")]
