"""Where a partition without an offset begins, and how much waits."""

import pytest

from workers.stream.backlog import Standing, standings
from workers.stream.starts import Log, StartFrom, lag_of, next_offset, starts_at_end

LOG = Log(40, 100)


@pytest.mark.parametrize(("start_from", "committed", "at_end"), [
    ("latest", [], True),
    ("latest", [None, None], True),
    ("latest", [None, 0], False),  # the group was here: the other partition was added, or its offset has expired
    ("earliest", [None, None], False),
    ("earliest", [None, 7], False),
])  # fmt: skip
def test_latest_is_for_a_group_without_any_offset(
    start_from: StartFrom, committed: list[int | None], at_end: bool
) -> None:
    assert starts_at_end(start_from, committed) is at_end


@pytest.mark.parametrize(("committed", "at_end", "offset", "lag"), [
    (None, False, 40, 60),  # what is before the log's start is gone, and does not wait
    (None, True, 100, 0),
    (70, False, 70, 30),
    (70, True, 70, 30),
    (10, False, 40, 60),
    (100, False, 100, 0),
    (120, False, 120, 0),  # a new leader that has not caught up
], ids=str)  # fmt: skip
def test_what_waits_is_what_is_there_and_not_done(committed: int | None, at_end: bool, offset: int, lag: int) -> None:
    assert next_offset(LOG, committed, at_end) == offset
    assert lag_of(LOG, committed, at_end) == lag


def test_one_partition_with_an_offset_decides_for_the_whole_topic() -> None:
    logs = {0: Log(0, 10), 1: Log(5, 10)}
    assert standings(logs, {0: None, 1: None}, "latest") == {0: Standing(10, 0), 1: Standing(10, 0)}
    assert standings(logs, {0: None, 1: 10}, "latest") == {0: Standing(10, 10), 1: Standing(10, 0)}
    assert standings(logs, {0: None, 1: None}, "earliest") == {0: Standing(10, 10), 1: Standing(10, 5)}
