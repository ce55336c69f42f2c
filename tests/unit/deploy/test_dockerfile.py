"""The Dockerfile agrees with what the tests run on, and with its linter."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet

from tests.support.pins import hashed, pins

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def arguments() -> dict[str, str]:
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE))


def lint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", "--failure-threshold", "info"]
    return subprocess.run([*command, str(dockerfile)], capture_output=True, text=True, timeout=60, check=False)


def test_ray_and_the_project_are_of_the_tested_versions() -> None:
    assert arguments()["RAY_VERSION"] == pins()["ray"]
    major, minor = re.fullmatch(r"py(\d)(\d+)", arguments()["PYTHON"]).groups()  # type: ignore[union-attr]
    assert f"{major}.{minor}" in SpecifierSet(PROJECT["requires-python"])


def test_the_linter_has_nothing_to_say() -> None:
    ended = lint(DOCKERFILE)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_the_linter_would_say_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text(DOCKERFILE.read_text().replace("USER 0\n", "USER root\nRUN cd /opt && sudo true\n"))
    ended = lint(bad)
    assert ended.returncode == 1
    assert {"DL3004", "DL3066"} <= set(re.findall(r"DL\d+", ended.stdout))


def test_nothing_is_fetched_but_by_name_and_version() -> None:
    assert "://" not in DOCKERFILE.read_text()


def test_every_pin_has_hashes_and_no_address() -> None:
    for name in ("constraints.txt", "uv.txt"):
        file = ROOT / ".ci" / name
        assert hashed(file) == set(pins(file))
        assert "://" not in file.read_text()


def test_torch_of_another_index_is_the_only_pin_without_hashes(tmp_path: Path) -> None:
    (command,) = re.findall(r"sed -i -e '[^']+' constraints\.txt", DOCKERFILE.read_text())
    (tmp_path / "constraints.txt").write_bytes((ROOT / ".ci" / "constraints.txt").read_bytes())
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    found = tmp_path / "constraints.txt"
    assert pins(found) == pins()
    assert hashed() - hashed(found) == {"torch"}
