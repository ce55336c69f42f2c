"""The progress bar passes all items on unchanged."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from labelstream.deploy.cli.common import progress
from labelstream.deploy.cli.common.progress import with_progress
from labelstream.deploy.cli.common.text_file import open_text_file


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_passes_all_items_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal)
    monkeypatch.setattr(progress, "err", lambda: console)
    (tmp_path / "lines").write_text("a\n" * 1_100)
    with open_text_file(str(tmp_path / "lines")) as file:
        assert list(with_progress(file, file.lines(), "lines")) == [b"a\n"] * 1_100
    assert ("lines" in console.file.getvalue()) is terminal  # type: ignore[attr-defined]
