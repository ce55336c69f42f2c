"""Completion in bash, by the protocol between bash and the command."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.deploy.cli.conftest import Run

CONFIG = """
kafka: {bootstrap_servers: "127.0.0.1:9"}
pipelines:
  feedback: {input: feedback.raw, output: feedback.labels, dead_letter: feedback.dlq, model: m}
  logs: {input: logs.raw, output: logs.labels, dead_letter: logs.dlq, review: logs.review, route: [{topic: logs.bad}]}
"""
Complete = Callable[..., list[str]]


@pytest.fixture
def complete(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Complete:
    """complete("lag", "f"): the proposals for the last word, in a directory with CONFIG in labelstream.yaml."""
    (tmp_path / "labelstream.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["labelstream"])
    monkeypatch.setattr(sys.modules["__main__"], "__package__", "")  # a script, and no `python -m`
    monkeypatch.setenv("_LABELSTREAM_COMPLETE", "complete_bash")

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", " ".join(("labelstream", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        ended = run()
        assert ended.err == ""
        return ended.out.split()

    return ask


def test_completion_imports_no_slow_package(tmp_path: Path) -> None:
    script = """
import sys
sys.argv[0] = "labelstream"
from labelstream.deploy.cli.main import main
try:
    main()
except SystemExit:
    print({"torch", "ray", "kafka", "transformers"} & sys.modules.keys())
"""
    (tmp_path / "labelstream.yaml").write_text(CONFIG)
    asked = {"_LABELSTREAM_COMPLETE": "complete_bash", "COMP_WORDS": "labelstream lag f", "COMP_CWORD": "2"}
    ended = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **asked}, cwd=tmp_path, capture_output=True, timeout=120
    )
    assert (ended.stdout, ended.stderr) == (b"feedback\nset()\n", b"")


def test_commands_are_completed(complete: Complete) -> None:
    assert complete("sta") == ["status"]


@pytest.mark.parametrize("command", ["status", "lag", "resume", "skip", "replay", "dlq list"])
def test_pipelines_are_those_of_the_config_in_this_folder(complete: Complete, command: str) -> None:
    assert complete(*command.split(), "f") == ["feedback"]


def test_named_config_goes_before_the_default(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("pipelines: {mail: {input: mail.raw}, 7: {}, bad: [1]}")
    assert complete("lag", "-c", "~/other.yaml", "") == ["bad", "mail"]
    assert complete("tail", "-c", str(tmp_path / "other.yaml"), "") == ["bad", "mail", "mail.raw"]


def test_topics_are_all_of_the_config(complete: Complete) -> None:
    assert complete("tail", "logs.") == ["logs.bad", "logs.dlq", "logs.labels", "logs.raw", "logs.review"]
    assert complete("produce", "logs") == ["logs", "logs.bad", "logs.dlq", "logs.labels", "logs.raw", "logs.review"]


@pytest.mark.parametrize("content", ["", "[", "7", "pipelines: 7", "pipelines: [a]", "\x00"])
def test_broken_config_completes_nothing_silently(complete: Complete, tmp_path: Path, content: str) -> None:
    (tmp_path / "labelstream.yaml").write_text(content)
    assert complete("lag", "") == []


def test_missing_config_completes_nothing_silently(complete: Complete) -> None:
    assert complete("lag", "-c", "nowhere.yaml", "") == []
    assert complete("lag", "-c", "/", "") == []
