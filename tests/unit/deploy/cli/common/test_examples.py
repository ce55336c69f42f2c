"""The examples below the help texts."""

import shlex
from typing import Any

import pytest
import typer

from labelstream.deploy.cli.common import examples as module
from labelstream.deploy.cli.main import app
from tests.unit.deploy.cli.conftest import Run

ROOM = 74  # columns of a list item in a terminal of 80


def _parse(arguments: list[str]) -> str:
    """The full name of the command that takes these arguments. Raises UsageError."""
    command: Any = typer.main.get_command(app)
    context, name = None, [command.name]
    while True:
        context = command.make_context(name[-1], arguments, parent=context)
        if not hasattr(command, "resolve_command"):
            return " ".join(name[1:])
        found, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        name.append(found)


@pytest.mark.parametrize("command", module._EXAMPLES)
def test_examples_are_valid_calls_that_fit_one_line(command: str) -> None:
    for example in module._EXAMPLES[command]:
        assert len(example) <= ROOM, example
        program, *arguments = shlex.split(example.rpartition("|")[2])
        assert (program, _parse(arguments)) == ("labelstream", command)


def test_examples_stand_below_the_help(run: Run) -> None:
    shown = run("tail", "--help").out
    assert all(example in shown for example in module._EXAMPLES["tail"])
    assert module.examples("doctor") is None
