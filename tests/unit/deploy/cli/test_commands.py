"""Help, version, schemas, the summary of a config, and classifying: the commands that need no broker."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.models import LABELS, build
from tests.unit.deploy.cli.conftest import Run

COMMANDS = (
    "run",
    "check",
    "doctor",
    "produce",
    "tail",
    "dlq",
    "classify",
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("model")))


def test_classify_arguments(run: Run, model: str) -> None:
    ended = run("classify", "good", "tab\there\x1b[31m", "--model", model, "--top-k", "2")
    assert ended.code == 0
    assert f"model: {model}, revision dir-" in ended.err
    first, second = ended.out.splitlines()
    assert {cell.split()[0] for cell in first.split("\t")[:2]} == set(LABELS)
    assert first.endswith("\tgood")
    assert second.endswith("\ttab\\there\\x1b[31m"), "control characters never reach a terminal"


def test_classify_lines_of_stdin_as_json(run: Run, model: str, stdin: Callable[[bytes], None]) -> None:
    mark = b"\xef\xbb\xbf"  # of each of two files
    stdin(mark + b"good\r\n\n \n" + mark + 'Ärger \\ "quoted"\n\xff\n'.encode("latin-1"))
    ended = run("classify", "-", "--json", "--model", model)
    answers = [json.loads(line) for line in ended.out.splitlines()]
    assert [answer["text"] for answer in answers] == ["good", '\ufffdrger \\ "quoted"', "\ufffd"]
    assert all(answer["label"] in LABELS and 0 <= answer["score"] <= 1 for answer in answers)
    assert [len(answer["scores"]) for answer in answers] == [1, 1, 1]


def test_nothing_reads_the_environment_but_the_settings() -> None:
    for path in (Path(__file__).parents[4] / "deploy" / "cli").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "getenv" not in text, path
        assert "environ.get" not in text, path
