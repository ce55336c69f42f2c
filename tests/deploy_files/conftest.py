"""deploycheck, which reads the files as Docker, Compose and Prometheus do; `make test-deploy-files` builds it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEPLOYCHECK = ROOT / ".tools" / "deploycheck"


class Refused(Exception):
    """deploycheck found the file to be wrong; the text is what it said."""


def deploycheck(*arguments: str | Path, environment: dict[str, str] | None = None) -> Any:
    """What it found. Raises Refused."""
    assert DEPLOYCHECK.exists(), "run `make test-deploy-files`, which builds deploycheck"
    command = [str(DEPLOYCHECK), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment or {})
    if ended.returncode:
        raise Refused(ended.stderr.strip())
    return json.loads(ended.stdout)


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Path, str, str], Path]:
    """A copy of a file with `old` replaced by `new`, where it is the only one."""

    def change(path: Path, old: str, new: str) -> Path:
        text = path.read_text()
        assert old in text
        copy = tmp_path / path.name
        copy.write_text(text.replace(old, new, 1))
        return copy

    return change
