"""Types of options and arguments in the help texts."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from labelstream.deploy.cli.main import app
from tests.unit.deploy.cli.conftest import Run


def _names(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield name
    for inner, inner_command in getattr(command, "commands", {}).items():
        yield from _names(inner_command, (*name, inner))


@pytest.mark.parametrize("command", list(_names(typer.main.get_command(app))), ids=" ".join)
def test_help_shows_no_type_of_python(command: tuple[str, ...], run: Run) -> None:
    shown = run(*command, "--help").out
    assert "--help" in shown
    assert not [name for name in ("bool", "<str>", "<path>", "<int", "<float") if name in shown]


def test_help_shows_values_of_options(run: Run) -> None:
    shown = run("tail", "--help").out
    assert " NUMBER" in shown
    assert " TIME" in shown
    assert "<result|enrichment|" in run("schema", "--help").out
