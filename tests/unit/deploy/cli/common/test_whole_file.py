"""A file is replaced as a whole, or stays as it is."""

import os
from pathlib import Path

import pytest

from labelstream.deploy.cli.common.whole_file import whole_file
from labelstream.workers.errors import ConfigError, StartError


def test_file_is_replaced_with_its_mode_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)
    with whole_file(path, "--json") as file:
        file.write("new")
        assert path.read_text() == "old"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)
    assert os.listdir(tmp_path) == ["a"]


def write(path: Path, text: str, error: Exception | None = None) -> None:
    with whole_file(path, "--json") as file:
        file.write(text)
        if error is not None:
            raise error


def test_file_is_unchanged_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"):
        write(tmp_path / "a", "half", ValueError("broken"))
    assert os.listdir(tmp_path) == []


def test_full_disk_is_said(tmp_path: Path) -> None:
    path = tmp_path / "full"
    path.symlink_to("/dev/full")
    with pytest.raises(StartError, match=r"cannot be written \(No space left on device\)$"):
        write(path, "x" * 100_000)


def test_pipe_of_a_descriptor_is_written() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w"):
        write(Path(f"/dev/fd/{writing}"), "x\n")  # as /dev/stdout in a pipeline
        assert reader.readline() == "x\n"


def test_missing_folder_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--json: .*No such file"):
        write(tmp_path / "no/a", "x")
