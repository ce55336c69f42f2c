"""The way of one record in docs/explanation/architecture.md: the page has the table and figures of a traced record."""

import re
from pathlib import Path

import pytest

from tests.support.record_trace import Walk, trace

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
WALK = PAGE.split("## The way of one record")[1].split("\n## ")[0]
MAX_REENTRIES = 50


@pytest.fixture(scope="module")
def walk() -> Walk:
    return trace()


def test_table_has_the_files_of_the_traced_record(walk: Walk) -> None:
    rows = [line for line in WALK.splitlines() if line.startswith("|")]
    assert rows == walk.table().splitlines(), "python -m tests.support.record_trace prints the table"


def test_figures_are_those_of_the_traced_record(walk: Walk) -> None:
    said = re.search(r"enters (\d+) files in (\d+) stays.* is a re-entry: (\d+)\.", " ".join(WALK.split()))
    assert said is not None
    assert [int(number) for number in said.groups()] == [
        len(walk.files),
        walk.stays,
        walk.stays - len(walk.files),
    ]


def test_record_seldom_comes_back_to_a_file(walk: Walk) -> None:
    assert walk.stays - len(walk.files) <= MAX_REENTRIES
