"""What counts as the same, of what a page shows and what a command prints."""

from tests.docs.comparison import matches


def test_dots_stand_for_text_and_for_lines() -> None:
    assert matches(["model: .../model", "...", "done"], ["model: /srv/model", "a", "b", "done"])
    assert not matches(["model: .../model", "done"], ["model: /srv/model", "a", "done"])


def test_decimals_and_clock_times_may_differ_and_counts_may_not() -> None:
    assert matches(["12:00:00 2 messages in 0.4 s"], ["13:01:59 2 messages in 10.25 s"])
    assert not matches(["2 messages in 0.4 s"], ["3 messages in 0.4 s"])
    assert not matches(["at 127.0.0.1:9092"], ["at 127.0.0.2:9092"])


def test_any_order_still_counts_each_line_once() -> None:
    assert matches(["a 0.1", "b", "b"], ["b", "a 0.7", "b"], in_order=False)
    assert not matches(["a", "b"], ["b", "a", "b"], in_order=False)
    assert not matches(["a", "a"], ["a", "b"], in_order=False)


def test_blanks_and_empty_lines_do_not_count() -> None:
    assert matches(["a b", ""], ["a     b   ", "", ""])
