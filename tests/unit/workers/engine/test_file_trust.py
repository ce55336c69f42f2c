"""Files of other users, and those that everybody may write to, are not trusted."""

import os
from pathlib import Path

import pytest

from labelstream.workers.engine.file_trust import is_trusted


@pytest.mark.parametrize(("mode", "trusted"), [(0o600, True), (0o644, True), (0o606, False), (0o602, False)])
def test_file_that_everybody_may_write_to_is_not_trusted(tmp_path: Path, mode: int, trusted: bool) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)
    assert is_trusted(file.lstat()) is trusted


@pytest.mark.parametrize(("owner", "trusted"), [(0, True), (os.geteuid(), True), (os.geteuid() + 1, False)])
def test_only_own_files_and_those_of_root_are_trusted(tmp_path: Path, owner: int, trusted: bool) -> None:
    fields = list(tmp_path.lstat())
    fields[4] = owner
    assert is_trusted(os.stat_result(fields)) is trusted
