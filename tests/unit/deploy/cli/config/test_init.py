"""`init` writes a valid config, overwrites none without --force, and prints the next commands."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from labelstream.workers.config_file import load_settings, read_config_file
from tests.unit.deploy.cli.conftest import Run, fails


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_init_without_a_terminal_asks_nothing(run: Run) -> None:
    ended = run("init")
    assert (ended.code, ended.err) == (0, "")
    settings = load_settings(read_config_file("labelstream.yaml"))
    assert settings.required_kafka.bootstrap_servers == "localhost:9092"


def test_init_in_a_terminal_asks_for_the_brokers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(typer, "prompt", lambda *asked, **options: "broker:9093")
    assert run("init").code == 0
    assert load_settings(read_config_file("labelstream.yaml")).required_kafka.bootstrap_servers == "broker:9093"
    assert run("init", "other.yaml", "-b", "given:1").code == 0
    assert load_settings(read_config_file("other.yaml")).required_kafka.bootstrap_servers == "given:1"


def test_init_overwrites_only_with_force(run: Run) -> None:
    Path("labelstream.yaml").write_text("mine")
    fails(run("init"), 2, "labelstream.yaml: already exists", "--force")
    assert Path("labelstream.yaml").read_text() == "mine"
    assert run("init", "--force").code == 0
    assert Path("labelstream.yaml").read_text() != "mine"


def test_next_commands_can_be_pasted(run: Run) -> None:
    Path("my configs").mkdir()
    ended = run("init", "my configs/a.yaml", "-b", "127.0.0.1:9", "--input", "a", "--output", "b", "--dead-letter", "c")
    commands = re.findall(r"^  (labelstream .*?) +# ", ended.out, re.MULTILINE)
    assert [shlex.split(command)[1] for command in commands] == ["topics", "check", "run"]
    for command in commands[:2]:  # they get as far as the unreachable broker
        assert "no broker answers at 127.0.0.1:9" in run(*shlex.split(command)[1:]).err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--bootstrap-servers", "localhost"), "kafka.bootstrap_servers: must be HOST:PORT"),
        (("--input", "a b"), "pipelines.a-b.input: 'a b' is not a topic's name"),
        (("--input", "a.labels"), "output is an input topic"),
        (("--model", "./none"), "none: no such directory"),
        (("none/labelstream.yaml",), "none/labelstream.yaml: cannot be written (No such file or directory"),
    ],
)
def test_wrong_options_write_nothing(run: Run, tmp_path: Path, arguments: tuple[str, ...], part: str) -> None:
    ended = run("init", *arguments)
    assert ended.code == 2
    assert part in ended.err
    assert list(tmp_path.iterdir()) == []


def test_help_names_outputs_after_the_input(run: Run) -> None:
    words = " ".join(re.sub(r"\x1b\[[0-9;]*m|│", "", run("init", "--help").out).split())
    assert "named after the input, such as feedback.labels" in words
