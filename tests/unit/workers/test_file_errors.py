"""Errors of files that cannot be opened, with users and modes."""

import errno
from pathlib import Path

import pytest

from labelstream.workers import file_errors
from labelstream.workers.file_errors import file_problem

DENIED = PermissionError(errno.EACCES, "Permission denied")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake a user other than root, whose user and group ids have no names."""

    def access(path: Path, mode: int, **_: object) -> bool:
        return bool(path.stat().st_mode & 0o007 & mode)

    monkeypatch.setattr(file_errors.os, "access", access)
    monkeypatch.setattr(file_errors, "_me", lambda: "somebody")


def test_other_errors_keep_their_own_text(tmp_path: Path) -> None:
    assert file_problem(FileNotFoundError(errno.ENOENT, "No such file or directory"), "x") == (
        "No such file or directory"
    )
    assert file_problem(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "x") == "not UTF-8"


@pytest.mark.usefixtures("nobody")
def test_refusing_file_is_named_with_owner_and_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch(mode=0o600)
    monkeypatch.setattr(Path, "parents", property(lambda path: []))
    owner = f"{file.owner()}:{file.group()}"
    assert file_problem(DENIED, file) == f"Permission denied: you are somebody, it belongs to {owner}, mode 0600"


@pytest.mark.usefixtures("nobody")
def test_refusing_folder_is_named_instead_of_the_file(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    problem = file_problem(DENIED, closed / "deep" / "file")
    outermost = next(path for path in (*reversed(closed.parents), closed) if not path.stat().st_mode & 0o001)
    assert f", {outermost} belongs to " in problem


def test_unwritable_folder_of_a_new_file_is_named(tmp_path: Path) -> None:
    assert f", {tmp_path} belongs to " in file_problem(DENIED, tmp_path / "new")


def test_user_without_a_name_is_shown_as_number() -> None:
    assert file_errors._name(lambda number: {}[number], 4711) == "4711"
