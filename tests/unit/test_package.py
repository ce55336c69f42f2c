"""The package as it is installed: all of the folders' packages, under names that meet nobody else's."""

import importlib.metadata
import importlib.resources
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("workers", "deploy", "schemas")


def test_every_folder_is_listed() -> None:
    """setuptools looks for packages in one place only, so that each is named."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [path.parent.relative_to(ROOT) for part in PARTS for path in (ROOT / part).rglob("__init__.py")]
    there = {f"labelstream.{'.'.join(folder.parts)}" for folder in folders if folder != Path("workers/public")}
    assert sorted(listed) == sorted({"labelstream", *there})


@pytest.mark.parametrize("arguments", [["schema", "message"], ["check", "--help"]])
def test_what_lies_in_the_folder_of_a_command_is_not_imported(tmp_path: Path, arguments: list[str]) -> None:
    for part in PARTS:
        (tmp_path / part).mkdir()
        (tmp_path / part / "__init__.py").write_text("raise SystemExit('the wrong one')")
    command = [str(Path(sys.executable).with_name("labelstream")), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_type_checkers_are_told_that_it_is_typed() -> None:
    """The marker of PEP 561, where the package is imported from. `make dist` looks for it in the wheel."""
    assert (importlib.resources.files("labelstream") / "py.typed").is_file()


def test_metadata_asks_for_no_cuda_package() -> None:
    """torch's build decides whether CUDA comes along: on a machine without a GPU it need not."""
    requirements = importlib.metadata.requires("labelstream") or []
    assert any(one.startswith("torch>=") for one in requirements)
    assert [one for one in requirements if re.match(r"nvidia|cuda|cupy|triton|tensorrt|onnxruntime-gpu", one)] == []
    assert [one for one in requirements if "@" in one or "+cu" in one] == []


@pytest.mark.parametrize("lock", sorted((ROOT / ".ci").glob("*.txt")), ids=lambda path: path.name)
def test_lock_holds_no_registry_s_address(lock: Path) -> None:
    assert re.findall(r"https?:|index-url|find-links", lock.read_text()) == []
