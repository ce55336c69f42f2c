"""Help and version of the whole command."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.deploy.cli.conftest import Run

COMMANDS = (
    "run",
    "check",
    "doctor",
    "produce",
    "tail",
    "dlq",
    "classify",
    "evaluate",
    "predict",
    "cache",
    "broker",
    "schema",
    "demo",
    "resume",
    "skip",
    "replay",
    "fetch",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    assert command in run("--help").out
    ended = run(command, "--help")
    assert ended.code == 0
    assert "Usage: " in ended.out


def test_the_help_does_not_wait_for_the_machinery() -> None:
    """Importing ray, torch or kafka takes seconds."""
    heavy = ("ray", "torch", "transformers", "kafka", "confluent_kafka", "numpy", "pydantic")
    code = f"import sys, labelstream.deploy.cli.main; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("labelstream 0.")


def test_nothing_reads_the_environment_but_the_settings() -> None:
    for path in (Path(__file__).parents[4] / "deploy" / "cli").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "getenv" not in text, path
        assert "environ.get" not in text, path
