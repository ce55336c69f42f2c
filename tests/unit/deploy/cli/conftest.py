"""Running the command in this process, and what it changes in it put back."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from labelstream.deploy.cli.common import console
from labelstream.deploy.cli.main import main

CONFIG = """
kafka:
  bootstrap_servers: {bootstrap}
models:
  sentiment: {{source: {source}}}
pipelines:
  feedback: {{input: in, output: out, dead_letter: dlq, model: sentiment}}
"""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """run("check", "-c", "file") -> its exit code and output, with nothing that a slow machine alone would say."""
    monkeypatch.setattr(console, "ANNOUNCED_AFTER_S", 3_600.0)

    def call(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments) or None)
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    root, ours = logging.getLogger(), logging.getLogger("labelstream.workers")
    level, our_level, handlers = root.level, ours.level, root.handlers[:]
    yield call
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)
    logging.captureWarnings(False)


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., str]:
    """Writes a valid config file, after replacing `old` by `new` in it; returns its path."""

    def write(old: str = "", new: str = "", bootstrap: str = "127.0.0.1:9", source: str = "/no/such/model") -> str:
        text = CONFIG.format(bootstrap=bootstrap, source=source)
        assert old in text
        path = tmp_path / "labelstream.yaml"
        path.write_text(text.replace(old, new) if old else text)
        return str(path)

    return write


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[bytes], None]]:
    """stdin(b"...") is what the command reads."""
    opened = []

    def give(content: bytes) -> None:
        path = tmp_path / "stdin"
        path.write_bytes(content)
        opened.append(path.open())
        monkeypatch.setattr(sys, "stdin", opened[-1])

    yield give
    for file in opened:
        file.close()


def fails(ended: Ended, code: int, *parts: str) -> None:
    assert ended.code == code, ended
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("labelstream: ")
    for part in parts:
        assert part in lines[0]
