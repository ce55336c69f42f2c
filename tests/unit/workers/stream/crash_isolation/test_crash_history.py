"""What the metadata of an offset tells of workers that died."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.stream.crash_isolation.crash_history import FREE_RECORDS, CrashHistory, read

COUNTS = st.integers(1, 10**9 - 1)


NAMES = st.from_regex(r"[0-9a-f]{1,32}", fullmatch=True)


@given(lives=COUNTS, records=st.integers(0, FREE_RECORDS), alone=COUNTS, by=NAMES)
def test_what_is_written_is_read(lives: int, records: int, alone: int, by: str) -> None:
    evidence = CrashHistory(lives, records, alone)
    assert read(evidence.text(by)) == (by, evidence)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foreign",
        "labelstream",
        "labelstream:2;by=ab;lives=1;records=1;alone=1",
        '{"leader":"epoch"}',
        "labelstream:1;by=ab;lives=-1;records=1;alone=1",
        "labelstream:1;by=ab;lives=1;records=1;alone=1;more=1",
        "labelstream:1;by=ab;lives=1;records=1;alone=1\n",
        "labelstream:1;by=ab;lives=\u0661;records=1;alone=1",
    ],
)
def test_what_others_have_written_tells_nothing(text: str) -> None:
    assert read(text) == ("", CrashHistory())


def test_read_note_is_capped_at_free_records() -> None:
    assert read("labelstream:1;by=ab;lives=1;records=999999999;alone=0")[1].records == FREE_RECORDS


def test_no_death_is_no_text() -> None:
    assert CrashHistory(0, 256, 0).text("ab") == ""


def test_windows_go_down_to_a_single_record() -> None:
    evidence, windows = CrashHistory().after(FREE_RECORDS), []
    for _ in range(4):
        windows.append(evidence.window())
        evidence = evidence.after(evidence.window(), alone=evidence.window() == 1)
    assert windows == [16, 1, 1, 1]
    assert evidence == CrashHistory(5, 1, 3)
