"""The commands that the demo prints last."""

import subprocess
from pathlib import Path

import pytest

from labelstream.deploy.cli.demo.next_steps import next_steps


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a venv that is not on the PATH; the working directory is the checkout."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    checkout = tmp_path / "with a space"
    scripts = checkout / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "labelstream").write_text('#!/bin/sh\necho "$0 $*"\n')
    (scripts / "labelstream").chmod(0o755)
    (scripts / "activate").write_text(f"PATH='{scripts}':$PATH\n")
    (checkout / "get-started.md").write_text("# Get started\n")
    monkeypatch.chdir(checkout)
    return scripts


def steps(venv: Path) -> list[str]:
    return next_steps(venv / "python", venv.parents[1] / "get-started.md")


def test_steps_activate_the_venv_once(venv: Path) -> None:
    first, *commands = steps(venv)
    assert first == "Next: your own text, then your broker (get-started.md)."
    assert commands == ["  . .venv/bin/activate; labelstream classify 'The room was clean'", "  labelstream init"]


def test_steps_activate_no_venv_on_the_path(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{venv}:/usr/bin:/bin")
    assert steps(venv)[1] == "  labelstream classify 'The room was clean'"


def test_steps_run_when_pasted_from_any_folder(venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (venv.parents[1], tmp_path, Path("/")):
        monkeypatch.chdir(folder)
        pasted = "\n".join(steps(venv)[1:])
        done = subprocess.run(["bash", "-e"], input=pasted, capture_output=True, text=True, check=False)
        assert done.stdout == f"{venv}/labelstream classify The room was clean\n{venv}/labelstream init\n", done.stderr


def test_steps_without_a_checkout_name_no_page(venv: Path) -> None:
    assert next_steps(venv / "python", venv / "none.md")[0].endswith("then your broker.")
