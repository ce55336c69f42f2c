"""Commands on the pages: the command line knows each, and a page that no test types says what its commands need."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from labelstream.deploy.cli.main import app
from tests.docs.blocks import KEYS, NEEDS, SHELL, Block, blocks

ROOT = Path(__file__).parents[2]
HOW_TO = sorted((ROOT / "docs/how-to").glob("*.md"))
RUNBOOKS = sorted((ROOT / "docs/how-to/runbooks").glob("*.md"))  # their commands need the trouble that they are for
TYPED = [ROOT / "README.md", ROOT / "deploy/examples/README.md", *sorted((ROOT / "docs/tutorials").glob("*.md"))]
QUOTED = """'[^']*'|"[^"]*\""""
OTHERS = sorted((ROOT / "docs/explanation").glob("*.md"))


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def shell_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in SHELL]


def own_commands(page: Path) -> list[str]:
    """The calls of `labelstream` in the page's blocks, without remarks, pipes and what follows them."""
    lines = [command.text for block in shell_blocks(page) for command in block.commands]
    calls = [re.sub(r"\s#.*", "", line) for line in lines]
    return [
        call for line in calls for call in re.findall(rf"(?:^|\| |&& |; )(labelstream (?:{QUOTED}|[^|;&>])*)", line)
    ]


@pytest.mark.parametrize("page", [*TYPED, *HOW_TO, *RUNBOOKS], ids=name)
def test_comments_before_blocks_are_known(page: Path) -> None:
    for block in blocks(page):
        assert set(block.marks) <= KEYS, block.place
        assert block.marks.get("needs", "kubernetes") in NEEDS, block.place


@pytest.mark.parametrize("page", TYPED, ids=name)
def test_file_of_a_block_is_named_above_it(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    for block in blocks(page):
        if "file" in block.marks:
            assert f"`{block.marks['file']}`" in "\n".join(lines[: block.line][-6:]), block.place


def test_a_command_that_there_is_not_is_found() -> None:
    for call in ("tale feedback.labels", "tail --no-such-option", "dlq lst"):
        with pytest.raises(TyperException):
            parse(typer.main.get_command(app), call.split())


@pytest.mark.parametrize("page", [*TYPED, *HOW_TO, *RUNBOOKS, *OTHERS], ids=name)
def test_command_line_knows_every_command_of_a_page(page: Path) -> None:
    for call in own_commands(page):
        arguments = [word for word in shlex.split(call)[1:] if word != "..."]
        try:
            parse(typer.main.get_command(app), arguments)
        except TyperException as error:
            pytest.fail(f"{call}\n{error}")


def parse(command: Any, arguments: Sequence[str]) -> None:
    """Raises TyperException for a command or an option that there is not. Runs nothing."""
    context = typer.Context(command)
    if isinstance(command, TyperGroup) and arguments and not arguments[0].startswith("-"):
        _, found, rest = command.resolve_command(context, list(arguments))
        parse(found, rest)
    else:
        command.make_parser(context).parse_args(list(arguments))
