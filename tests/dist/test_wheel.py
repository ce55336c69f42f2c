"""What is in the wheel, what comes of it in site-packages, and the demo outside of the checkout."""

import json
import subprocess
import zipfile
from pathlib import Path

from tests.dist.conftest import ROOT

MESSAGES = 200
LISTED = """
import importlib.metadata, json
print(json.dumps([str(path) for path in importlib.metadata.files("labelstream")]))
"""


def test_it_has_the_package_alone(wheel: Path) -> None:
    """Neither tests nor a top-level `workers`, `deploy` or `schemas`, which somebody else's package may be called."""
    version = wheel.name.split("-")[1]
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert folders == {"labelstream", f"labelstream-{version}.dist-info"}


def test_it_has_every_module(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "workers/*.py", "deploy/*.py", "schemas/*.py"], cwd=ROOT,
                             capture_output=True, text=True, check=True)
    modules = {f"labelstream/{path}" for path in tracked.stdout.split()} - {"labelstream/workers/public/__init__.py"}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    assert packed == modules | {"labelstream/__init__.py"}


def test_it_tells_type_checkers_that_it_is_typed(wheel: Path) -> None:
    """The marker of PEP 561."""
    assert "labelstream/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_it_installs_a_folder_and_a_command(installed: Path, tmp_path: Path) -> None:
    listed = subprocess.run([installed, "-c", LISTED], cwd=tmp_path, capture_output=True, text=True, check=True)
    others = [path for path in json.loads(listed.stdout) if not path.startswith(("labelstream/", "labelstream-"))]
    assert others == ["../../../bin/labelstream"]


def test_the_demo_runs_in_another_folder(installed: Path, tmp_path: Path) -> None:
    command = [installed.with_name("labelstream"), "demo", "--messages", str(MESSAGES)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is stopped" in done.stdout
    assert list(tmp_path.iterdir()) == []
