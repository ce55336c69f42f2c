"""The wheel that `make dist` has built, installed in a fresh venv whose path has a space."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel() -> Path:
    found = list((ROOT / "dist").glob("labelstream-*.whl"))
    assert len(found) == 1, f"dist/ has {len(found)} wheels instead of one: run `make dist`"
    return found[0]


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the venv. What the wheel needs comes in the versions of .ci/constraints.txt."""
    venv = tmp_path_factory.mktemp("with a space") / "venv"
    python, constraints = venv / "bin" / "python", ROOT / ".ci" / "constraints.txt"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, venv], check=True)
    subprocess.run([*uv, "pip", "install", "-q", "--python", python, "-c", constraints, wheel], check=True)
    return python
