"""Logs of a run that has failed."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from labelstream.deploy.cluster.kept_logs import LOGS, MOST_KEPT, keep_logs


def test_logs_outlive_the_folder_for_their_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    logs = tmp_path / LOGS
    (logs / "serve").mkdir(parents=True)
    (logs / "raylet.out").write_text("started")
    (logs / "serve" / "controller.log").write_text("deployed")
    (logs / "old").symlink_to(tmp_path)
    kept = keep_logs(tmp_path)
    assert kept is not None
    assert sorted(str(path.relative_to(kept)) for path in kept.rglob("*")) == [
        "raylet.out",
        "serve",
        "serve/controller.log",
    ]
    assert (kept / "serve" / "controller.log").read_text() == "deployed"
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_nothing_is_kept_where_ray_did_not_start(tmp_path: Path) -> None:
    assert keep_logs(tmp_path) is None


def test_only_the_last_logs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / LOGS).mkdir(parents=True)
    other = tmp_path / "something-else"
    other.mkdir()
    made: list[Path] = []
    for i in range(MOST_KEPT + 2):
        kept = keep_logs(tmp_path)
        assert kept is not None
        os.utime(kept.parent, (i, i))
        made.append(kept.parent)
    assert [path.exists() for path in made] == [False, False] + [True] * MOST_KEPT
    assert other.exists()
