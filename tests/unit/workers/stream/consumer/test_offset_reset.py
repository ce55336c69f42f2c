"""Where a partition without an offset begins, and how much waits."""

from typing import Any

import pytest

from labelstream.workers.stream.consumer.offset_reset import (
    Log,
    StartFrom,
    jump_effect,
    next_offset,
    start_effect,
    starts_at_end,
    why_no_offset,
)

LOG = Log(40, 100)
RECREATED = "the topic was recreated or its log truncated"


@pytest.mark.parametrize(
    ("start_from", "committed", "at_end"),
    [
        ("latest", [], True),
        ("latest", [None, None], True),
        ("latest", [None, 0], False),  # the group was here: the other partition was added, or its offset has expired
        ("earliest", [None, None], False),
        ("earliest", [None, 7], False),
    ],
)
def test_latest_is_for_a_group_without_any_offset(
    start_from: StartFrom, committed: list[int | None], at_end: bool
) -> None:
    assert starts_at_end(start_from, committed) is at_end


@pytest.mark.parametrize(
    ("committed", "at_end", "offset"),
    [
        (None, False, 40),  # what is before the log's start is gone
        (None, True, 100),
        (70, False, 70),
        (70, True, 70),
        (10, False, 40),
        (100, False, 100),
        (120, False, 120),  # a new leader that has not caught up
    ],
    ids=str,
)
def test_reading_goes_on_at_what_is_there_and_not_done(committed: int | None, at_end: bool, offset: int) -> None:
    assert next_offset(LOG, committed, at_end) == offset


@pytest.mark.parametrize(
    ("log", "others", "recreated", "young", "why"),
    [
        (Log(0, 10), None, False, False, "it is new, or its offsets have expired"),
        (Log(0, 10), None, False, True, "the group is new"),
        (Log(0, 10), None, True, True, "are gone: the topic was recreated"),
        (Log(0, 10), "topics", False, True, "the topic is new to the group"),
        (LOG, "topics", False, False, "this topic is new, or its offsets have expired"),
        (Log(0, 10), "partitions", False, False, "this one was added, or its offset has expired"),
        (Log(0, 10), "partitions", False, True, "partitions are new to the group"),
        (LOG, "partitions", False, False, "its offset has expired, or it was added long ago"),
    ],
)
def test_an_offset_that_is_missing_has_a_likely_reason(
    log: Log, others: Any, recreated: bool, young: bool, why: str
) -> None:
    assert why_no_offset(log, others, recreated, young).endswith(why)


def test_a_start_tells_what_it_skips_or_repeats() -> None:
    skips = "starts at the end of partitions 0, 1, start_from: latest, and skips 120 messages"
    assert start_effect({1: LOG, 0: LOG}, at_end=True, young=False) == skips
    repeats = start_effect({4: Log(0, 1)}, at_end=False, young=False)
    assert repeats == "reads partition 4 from the start, 1 message, which may have been classified before"
    assert start_effect({4: Log(0, 0)}, at_end=False, young=True) == "reads partition 4 from the start, 0 messages"
    assert start_effect(dict.fromkeys(range(9), LOG), at_end=False, young=False) == (
        "reads 9 partitions from the start, 540 messages, which may have been classified before; 360 messages before "
        "them were deleted by retention"
    )


@pytest.mark.parametrize(
    ("offset", "at_end", "effect"),
    [
        (10, False, "30 messages were deleted without a result"),
        (10, True, "30 messages were deleted without a result, and this skips 60 messages more"),
        (120, False, f"{RECREATED}; this reads 60 messages, repeating any classified before"),
        (120, True, f"{RECREATED}; this skips 60 messages"),
    ],
)
def test_a_jump_tells_what_it_skips_or_repeats(offset: int, at_end: bool, effect: str) -> None:
    assert jump_effect(LOG, offset, at_end) == effect
