"""The Makefile works in a folder with a space, and with the Pythons that a machine has."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FIND_PYTHON = ROOT / ".ci" / "find-python"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def find_python(version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([FIND_PYTHON, version], capture_output=True, text=True, timeout=60, check=False)


def test_it_starts_nothing_by_a_script_s_first_line() -> None:
    """That line holds the path of the venv, and ends at its first space."""
    assert re.findall(r"(?:\$\(VENV\)|\.venv)/bin/(?!python\b)\S+", MAKEFILE) == []


def test_it_quotes_the_folder_of_the_checkout() -> None:
    assert re.findall(r'(?<!")\$\(CURDIR\)', MAKEFILE) == []


def test_contributing_names_every_target_of_help() -> None:
    targets = re.findall(r'@echo "  make ([a-z0-9-]+) ', MAKEFILE)
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(targets) > 30
    assert [name for name in targets if not re.search(rf"(`|make ){name}\b", contributing)] == []


@pytest.mark.parametrize("runner", [".ci/run", ".github/workflows/nightly.yml"])
def test_contributing_names_what_a_runner_leaves_out(runner: str) -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Longer tests\n")[1].split("\n## ")[0]
    rows = " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    ran = set(re.findall(r"[a-z0-9-]+", " ".join(re.findall(r"make:? ([^}\n]+)", (ROOT / runner).read_text()))))
    text = " ".join(section.split("\n|")[0].split())
    (left_out,) = re.findall(rf"`{re.escape(runner)}` runs.*? except ((?:`[a-z-]+`(?:, )?)+)\.", text)
    assert set(re.findall(r"[a-z-]+", left_out)) == set(re.findall(r"(?:make |`)([a-z0-9-]+)`", rows)) - ran


def test_help_fits_a_terminal_of_80_columns() -> None:
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_it_tests_each_python_that_the_package_claims() -> None:
    (tested,) = re.findall(r"^PYTHONS \?= (.*)$", MAKEFILE, re.MULTILINE)
    prefix = "Programming Language :: Python :: "
    claimed = [line.removeprefix(prefix) for line in PROJECT["classifiers"] if re.match(prefix + r"\d+\.\d+", line)]
    assert claimed == tested.split()
    assert PROJECT["requires-python"] == f">={claimed[0]}"


def test_a_python_that_is_there_is_found() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = find_python(version).stdout.strip()
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.startswith(f"Python {version}.")


def test_missing_python_error_says_what_to_install() -> None:
    done = find_python("3.99")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pyenv install 3.99, or apt-get install python3.99-venv" in done.stderr


@pytest.mark.parametrize(("version", "is_built"), [("v4.3.1", False), ("v3.19.0", True)])
def test_helm_that_fits_is_used_and_another_one_built(tmp_path: Path, version: str, is_built: bool) -> None:
    """`go` and `helm` are scripts, the first of which writes down what it is to build."""
    validate = tmp_path / "checkout/tests/helm/validate"
    shutil.copytree(ROOT / "tests/helm/validate", validate)
    shutil.copy(ROOT / "Makefile", tmp_path / "checkout")
    for name, script in (("go", f'echo "$@" >> "{tmp_path}/built"'), ("helm", f"echo {version}")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["make", "helm-tools"], cwd=tmp_path / "checkout", env=environment, check=True, timeout=60)
    assert ("helm.sh/helm/v4/cmd/helm" in (tmp_path / "built").read_text()) == is_built
    assert (tmp_path / "checkout/.helm-tools/helm").is_symlink() != is_built
