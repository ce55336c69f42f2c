"""The messages that pages quote are those of the code: `..` stands for what varies."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to"
PAGES = [HOW_TO / "troubleshoot.md", HOW_TO / "secure.md", *sorted((HOW_TO / "runbooks").glob("*.md"))]
# The columns that hold messages, by the first or last words of a table's head.
HEADS = {"message": 0, "the alarm": 0, "the error says": 0, "without the right": -1}
HOLE = "\0"


def _text(node: ast.AST) -> str:
    """A literal's text with a hole for each value; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%(\.\d+f|[sdrg])", HOLE, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or HOLE for part in node.values)
    return ""


@cache
def templates() -> tuple[str, ...]:
    files = [path for part in ("workers", "deploy") for path in (ROOT / part).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    return tuple({text for tree in trees for node in ast.walk(tree) if " " in (text := _text(node))})


def quoted(page: Path) -> Iterator[str]:
    column: int | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            column = None
        elif column is None:
            heads = [HEADS[cell] for cell in (cells[0], cells[-1]) if cell in HEADS]
            column = heads[0] if heads else len(cells)
        elif column < len(cells):
            yield from re.findall(r"`([^`]+)`", cells[column])


def is_said(message: str) -> bool:
    """Do the fixed parts of the message stand in one template, in their order?"""
    parts = [re.escape(part.strip()) for part in re.split(r"\.\.", message) if part.strip()]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    return any(pattern.search(template) for template in templates())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_quoted_messages_are_those_of_the_code(page: Path) -> None:
    assert [message for message in quoted(page) if not is_said(message)] == []


def test_troubleshooting_quotes_messages() -> None:
    assert len(list(quoted(HOW_TO / "troubleshoot.md"))) > 60
