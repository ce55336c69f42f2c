"""The way of one record in docs/explanation/architecture.md: a traced record enters the files of the page."""

import re
from pathlib import Path

import pytest

from tests.support.record_trace import trace

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
WALK = PAGE.split("## The way of one record")[1].split("\n## ")[0]
TABLE = "\n".join(line for line in WALK.splitlines() if line.startswith("|"))
FILES = set(re.findall(r"`([\w/]+\.py)`", TABLE))
UNSEEN = {"deploy/model_client/least_loaded_router.py"}  # Ray Serve calls it
MAX_REENTRIES = 255


def test_traced_record_enters_the_files_of_the_walk() -> None:
    threads = trace()
    stays, files = sum(map(len, threads)), {file for thread in threads for file in thread}
    assert files == FILES - UNSEEN
    said = re.search(r"enters (\d+) files in about (\d+) stays", " ".join(WALK.split()))
    assert said is not None
    assert (len(files), stays) == (int(said[1]), pytest.approx(int(said[2]), rel=0.05))
    assert stays - len(files) <= MAX_REENTRIES
