"""How waits grow."""

from labelstream.workers.stream.flow_control.backoff import Backoff


def test_waits_double_up_to_maximum() -> None:
    backoff = Backoff(0.5, 15)
    assert [backoff.next_s() for _ in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]


def test_reset_begins_with_first_wait() -> None:
    backoff = Backoff(0.1, 10)
    assert [backoff.next_s(), backoff.next_s()] == [0.1, 0.2]
    backoff.reset()
    assert backoff.next_s() == 0.1
