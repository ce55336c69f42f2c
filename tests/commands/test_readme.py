"""README's steps to a real broker, typed as printed, except for the broker's address."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kafka import Broker
from tests.support.command import ROOT
from tests.support.running_command import RunningCommand
from tests.support.streams import wait_until

pytestmark = pytest.mark.ray

ON_PATH = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
SECTION, ADDRESS = "Your broker and your model", "localhost:9092"


def commands() -> list[str]:
    """Command lines of the section's code blocks, in order."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition(f"## {SECTION}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def labels(shown: str) -> list[str]:
    """Sorted labels in the lines that `tail` prints."""
    return sorted(re.findall(r"^(?:POSITIVE|NEGATIVE)\b", shown, flags=re.MULTILINE))


@contextmanager
def _terminal() -> Iterator[int]:
    """A terminal that answers `y`."""
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


def typed(line: str, folder: Path) -> str:
    """Output of the line in a shell with the venv on its PATH. The line must succeed."""
    with _terminal() as terminal:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=folder,
            env={**os.environ, **ON_PATH},
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, f"{line}\n{done.stdout}"
    return done.stdout


def test_readme_section_leads_to_labelled_messages(kafka: Broker, tmp_path: Path) -> None:
    lines = [line.replace(ADDRESS, kafka.bootstrap) for line in commands()]
    [run] = [place for place, line in enumerate(lines) if line.startswith("labelstream run ")]
    for line in lines[:run]:
        typed(line, tmp_path)
    running = RunningCommand(environment=ON_PATH, command=["bash", "-c", f"cd {tmp_path} && exec {lines[run]}"])
    try:
        running.until("everything runs")
        *middle, last = lines[run + 1 :]
        for line in middle:
            typed(line, tmp_path)
        assert last.startswith("labelstream tail ")
        wait_until(lambda: labels(typed(last, tmp_path)) == ["NEGATIVE", "POSITIVE"], 60, "the two results")
    finally:
        running.process.terminate()
        assert running.wait() == 0, running.output
    running.assert_nothing_is_left()
