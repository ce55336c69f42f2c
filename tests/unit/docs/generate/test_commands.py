"""Every command of the typer app, with usage, arguments and options."""

import re
from typing import Literal

import pytest
import typer

from docs.generate import commands as module
from docs.generate.commands import commands
from labelstream.deploy.cli.main import app


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    """The page of an app with one command and one group."""
    group, tool = typer.Typer(help="A group."), typer.Typer()

    @tool.command()
    def play(
        file: str = typer.Argument("-", metavar="FILE", help="What to read"),
        level: int = typer.Option(1, "--level", "-l", min=1, max=9, help="How loud"),
        rate: float = typer.Option(2.5, min=0.5, help="How fast."),
        name: str = typer.Option(..., help="Whose"),
        start: Literal["now", "later"] = typer.Option("now", help="When"),
        secret: str = typer.Option("", hidden=True),
    ) -> None:
        """Play it.

        With an end.
        """

    @group.command()
    def stop() -> None:
        """Stop it."""

    tool.add_typer(group, name="more")
    monkeypatch.setattr(module, "app", tool)
    return commands()


def test_command_has_usage_and_help(small: str) -> None:
    assert "## labelstream play\n\nPlay it.\n\nWith an end.\n\n```\nlabelstream play [OPTIONS] [FILE]\n```" in small


def test_options_have_values_defaults_and_ranges(small: str) -> None:
    assert "- `-l, --level NUMBER`: How loud. Default: `1`. From 1 to 9." in small
    assert "- `--rate NUMBER`: How fast. Default: `2.5`. From 0.5." in small
    assert "- `--start VALUE`: When. One of `now`, `later`. Default: `now`." in small
    assert "- `--name TEXT`: Whose. Required." in small
    assert "secret" not in small


def test_group_comes_before_its_commands(small: str) -> None:
    assert small.index("## labelstream more\n") < small.index("## labelstream more stop\n")


def test_every_command_of_labelstream_is_there() -> None:
    tree = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    inner = {f"{name} {part}" for name, group in tree.items() for part in getattr(group, "commands", ())}
    assert set(re.findall(r"^## labelstream (.*)$", commands(), re.MULTILINE)) == {*tree, *inner}
