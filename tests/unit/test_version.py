"""One version: that of pyproject.toml. Whatever else names a version of Labelstream names this one."""

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from labelstream.deploy.cli.main import app
from labelstream.workers.stream.codec.encoding.dead_letters import VERSION as VERSION_IN_HEADERS

ROOT = Path(__file__).parents[2]
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_installed_package_has_it() -> None:
    assert importlib.metadata.version("labelstream") == VERSION, "pyproject.toml has changed: run `make venv`"
    assert VERSION_IN_HEADERS == VERSION


def test_the_command_says_it() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"labelstream {VERSION}\n"


def test_the_chart_installs_it() -> None:
    chart = yaml.safe_load((ROOT / "helm/labelstream/Chart.yaml").read_text())
    assert chart["appVersion"] == VERSION


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("deploy/Dockerfile", r"^ARG VERSION=(\S+)$"),
        ("helm/labelstream/README.md", r"Labelstream (\d+\.\d+\.\d+)"),
        ("helm/labelstream/README.md", r'labelstream, tag: "([^"]+)"'),
    ],
)
def test_a_file_that_cannot_read_it_repeats_it(file: str, pattern: str) -> None:
    assert re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE) == [VERSION]


@pytest.mark.parametrize("part", ["workers", "deploy", "schemas"])
def test_the_code_does_not_repeat_it(part: str) -> None:
    literal = re.compile(rf"""["']v?{re.escape(VERSION)}["']""")
    assert [path for path in (ROOT / part).rglob("*.py") if literal.search(path.read_text(encoding="utf-8"))] == []


def release_notes(version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / ".ci/release-notes", version], capture_output=True, text=True, check=False)


def test_release_notes_are_the_changelog_s_section() -> None:
    done = release_notes(VERSION)
    if f"\n## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        assert done.stdout.splitlines()[2] == "### Added"
        assert "## [" not in done.stdout
    else:
        assert "rename [Unreleased]" in done.stderr


def test_release_notes_of_another_version_are_refused() -> None:
    done = release_notes("99.0.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"pyproject.toml has version {VERSION}, not 99.0.0" in done.stderr
