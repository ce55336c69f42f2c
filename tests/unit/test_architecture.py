"""The way of one record in docs/explanation/architecture.md: the files exist, the count is right and small."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
WALK = PAGE.split("## The way of one record")[1].split("\n## ")[0]
MAX_REENTRIES = 60


def test_walk_of_a_record_is_counted_and_short() -> None:
    files = re.findall(r"`([\w/]+\.py)`", "\n".join(line for line in WALK.splitlines() if line.startswith("|")))
    stays = [file for before, file in zip(["", *files], files, strict=False) if file != before]
    reentries = len(stays) - len(set(stays))
    assert f"These are {len(stays)} stays in {len(set(stays))} files." in WALK
    assert f" {reentries} stays are" in " ".join(WALK.split())
    assert reentries <= MAX_REENTRIES


def test_each_file_of_the_walk_is_one_module() -> None:
    modules = [str(path) for part in ("workers", "deploy", "schemas") for path in (ROOT / part).rglob("*.py")]
    for file in set(re.findall(r"`([\w/]+\.py)`", WALK)):
        assert len([module for module in modules if module.endswith("/" + file)]) == 1, file
