"""A checkout in a folder with a space: the venv that `make` makes there, its lint, and the demo."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.dist.conftest import ROOT


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files as they are now, committed or not."""
    folder = tmp_path_factory.mktemp("with a space") / "labelstream"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VIRTUAL_ENV"))}
    return subprocess.run(["make", *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=300,
                          check=False)


def test_the_demo_runs(checkout: Path) -> None:
    done = make(checkout, "demo", "MESSAGES=50")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is stopped" in done.stdout
