"""The Makefile works in a folder with a space, and with the Pythons that a machine has."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

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
