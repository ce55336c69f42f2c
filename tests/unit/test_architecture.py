"""The way of one record in docs/explanation/architecture.md: a traced record enters the files of the page."""

import re
from pathlib import Path

import pytest

from tests.support.record_trace import BESIDE, trace

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
WALK = PAGE.split("## The way of one record")[1].split("\n## ")[0]
ROWS = [line for line in WALK.splitlines() if line.startswith("|")]
UNSEEN = {"deploy/model_client/least_outstanding_router.py"}  # Ray Serve calls it
MAX_REENTRIES = 82


def _files(*rows: str) -> set[str]:
    return set(re.findall(r"`([\w/]+\.py)`", "\n".join(rows)))


def test_files_beside_the_way_are_those_left_out_of_the_trace() -> None:
    assert ROWS[-1].startswith("| beside the way |")
    assert _files(ROWS[-1]) == BESIDE


def test_traced_record_enters_the_files_of_the_walk() -> None:
    threads = trace()
    stays, files = sum(map(len, threads)), {file for thread in threads for file in thread}
    assert files == _files(*ROWS[:-1]) - UNSEEN
    said = re.search(r"enters (\d+) files in about (\d+) stays", " ".join(WALK.split()))
    assert said is not None
    assert (len(files), stays) == (int(said[1]), pytest.approx(int(said[2]), rel=0.05))
    assert stays - len(files) <= MAX_REENTRIES
