"""Every error is one line that names the fix, with the right exit code and without a traceback."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.deploy.cli.conftest import Run, fails

WriteConfig = Callable[..., str]
LOGIN = "protocol: SASL_SSL, sasl_mechanism: PLAIN, username: u"


def test_missing_config_file_exits_with_2(run: Run, tmp_path: Path) -> None:
    fails(run("check", "-c", str(tmp_path / "none.yaml")), 2, "none.yaml: cannot be read (No such file")


def test_invalid_yaml_names_the_line(run: Run, write_config: WriteConfig) -> None:
    fails(run("check", "-c", write_config("kafka:", "kafka: [")), 2, "is not valid YAML at line")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("dead_letter: dlq", "dead_letter: in", ("pipelines.feedback", "dead_letter is an input topic")),
        ("input: in", "input: in, bacth: 3", ("pipelines.feedback.bacth: unknown setting",)),
        ("model: sentiment}", "model: other}", ("pipelines.feedback.model", "no model 'other'")),
        (
            "kafka:",
            f"kafka:\n  security: {{{LOGIN}, password: hush}}",
            ("kafka.security.password", "secrets do not belong"),
        ),
    ],
)
def test_wrong_setting_is_named_without_secrets(
    run: Run, write_config: WriteConfig, old: str, new: str, parts: tuple[str, ...]
) -> None:
    ended = run("check", "-c", write_config(old, new))
    fails(ended, 2, *parts)
    assert "hush" not in ended.err
    fails(run("run", "-c", write_config(old, new)), 2, *parts)


@pytest.mark.parametrize("arguments", [("tail", "topic"), ("produce", "topic")])
def test_unreachable_broker_exits_with_1(run: Run, stdin: Callable[[bytes], None], arguments: tuple[str, ...]) -> None:
    stdin(b"text\n")
    fails(run(*arguments, "--bootstrap", "127.0.0.1:9"), 1, "no broker answers at 127.0.0.1:9")


def test_check_connect_lists_all_problems(run: Run, write_config: WriteConfig) -> None:
    ended = run("check", "--connect", "-c", write_config())
    assert ended.code == 1
    problems = [line for line in ended.err.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 2, ended.err
    assert problems[0].startswith("problem: kafka.bootstrap_servers: no broker answers at 127.0.0.1:9")
    assert problems[1].startswith("problem: models.sentiment.source: /no/such/model: ")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("tail", "topic", "--bootstrap", "nonsense"), "'nonsense' is not HOST:PORT"),
        (("tail", "topic", "--bootstrap", "a:1", "-c", "file"), "give one of the two"),
        (("produce", "topic", "/no/such/file", "--bootstrap", "a:1"), "/no/such/file: cannot be read"),
        (("produce", "topic", "-", "--raw", "--format", "json"), "--raw"),
        (("produce", "topic", "-", "--key-field", "a", "--key-separator", "b"), "--key-field"),
        (("classify", "text", "--revision", "main"), "--revision"),
    ],
)
def test_wrong_options_exit_with_2(run: Run, arguments: tuple[str, ...], part: str) -> None:
    fails(run(*arguments), 2, part)


def test_classify_names_unusable_model(run: Run, tmp_path: Path) -> None:
    fails(run("classify", "text", "--model", str(tmp_path / "none")), 1, "no such directory")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    fails(run("classify", "text", "--model", str(tmp_path)), 1, "only *.safetensors are read")


def test_bug_is_one_line_and_verbose_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> str:
        raise AssertionError("first\nsecond")

    monkeypatch.setattr("labelstream.schemas.export.render", broken)
    fails(run("schema"), 1, "AssertionError: first second (a bug")
    assert "Traceback" in run("-v", "schema").err


SAY = """
import typer
from labelstream.deploy.cli.main import app, main
app.command("say")(lambda: typer.echo("\xc4 \u2026"))
main(["say"])
"""


def test_unencodable_characters_are_escaped() -> None:
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run([sys.executable, "-c", SAY], env=environment, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b"\xc4 \\u2026\n"), ended.stderr


def test_full_disk_is_reported_without_bug_hint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("labelstream.schemas.export.render", full)
    fails(run("schema"), 1, "standard output: No space left on device")
