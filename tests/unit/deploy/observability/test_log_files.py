"""Log files that grow, read line by line."""

from pathlib import Path

import pytest

from labelstream.deploy.observability import log_files
from labelstream.deploy.observability.log_files import LogFiles


def append(folder: Path, name: str, text: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(text.encode())


def read(files: LogFiles) -> list[tuple[str, list[str]]]:
    """All that is there: each process's name with its lines."""
    found = []
    while batch := files.poll(0):
        assert batch["is_err"]
        found.append((batch["pid"], batch["lines"]))
    return found


def test_each_line_is_read_once_when_it_is_whole(tmp_path: Path) -> None:
    files = LogFiles(tmp_path)
    append(tmp_path, "worker-1.err", "one\ntw")
    assert read(files) == [("worker-1.err", ["one"])]
    append(tmp_path, "worker-1.err", "o\n\nthree\n")
    assert read(files) == [("worker-1.err", ["two", "", "three"])]
    assert read(files) == []


def test_processes_that_come_later_are_read_from_their_beginning(tmp_path: Path) -> None:
    files = LogFiles(tmp_path)
    append(tmp_path, "worker-1.err", "a\n")
    read(files)
    append(tmp_path, "worker-2.err", "b\n")
    append(tmp_path, "worker-1.err", "c\n")
    assert read(files) == [("worker-1.err", ["c"]), ("worker-2.err", ["b"])]


def test_standard_output_and_rays_own_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("worker-1.out", "raylet.err", "gcs_server.out"):
        append(tmp_path, name, "a\n")
    assert read(LogFiles(tmp_path)) == []


def test_line_longer_than_what_is_read_at_once_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_READ_BYTES", 4)
    files = LogFiles(tmp_path)
    append(tmp_path, "worker-1.err", "x" * 10 + "\nb\n")
    assert [line for _ in range(6) for batch in [files.poll(0)] if batch for line in batch["lines"]] == ["xx", "b"]


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "worker-1.err").write_bytes(b"a\xff\xc2\x85b\n")
    assert read(LogFiles(tmp_path)) == [("worker-1.err", ["a\ufffd\x85b"])]


def test_folder_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert LogFiles(tmp_path / "none").poll(0) is None
