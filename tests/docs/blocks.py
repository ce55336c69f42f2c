"""A page's blocks of commands and files, with the comment that stands before each.

A block of `console` has commands behind `$ ` (`> ` continues one) and what they print; in one of `sh` every line is a
command. A block without a language is one of these if it looks like commands. `<!-- KEY: VALUE -->` stands on the line
before a block; that of `stop` stands alone:

- `needs: WHAT`: the block is not run; one of NEEDS says why
- `file: NAME`: the block is the content of this file
- `terminal: NAME`: the block is typed in another terminal than the first
- `until: TEXT`: the block's last command stays running; the next block follows when TEXT is printed
- `stop: COMMAND`: Ctrl-C where the command runs that begins like this
- `typed: TEXT`: the reader's answer to the command's question
- `exit: CODE`: the command's exit code, where it is not 0
- `lines: any order`: the lines of the output come in any order
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NEEDS = {
    "kubernetes": "a Kubernetes cluster",
    "ray cluster": "a Ray cluster that runs already",
    "containers": "a container engine",
    "systemd": "a machine that systemd manages",
    "another broker": "a broker with TLS, a login or permissions",
    "a running pipeline": "a pipeline in the state that the page speaks of",
    "a GPU": "a GPU",
    "the network": "the hub, PyPI or another host",
    "minutes": "more time than a test may take",
    "your own": "files, names or a machine that only the reader has",
}
KEYS = {"needs", "file", "terminal", "until", "stop", "typed", "exit", "lines"}
SHELL = {"sh", "console"}
_COMMAND = r"labelstream|make|kubectl|helm|docker|uv|pip|python|curl|export|systemctl|serve|ray|kafka-\w+\.sh|\$?ACLS"
_COMMENT = re.compile(r"<!-- (\w+): (.*) -->")


class Command(NamedTuple):
    """`printed`: the lines of output that the page shows, or None where the page shows none."""

    text: str
    printed: list[str] | None


class Block(NamedTuple):
    """`marks`: the comments before it. A `stop` is a block without language and text."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[Command]:
        if self.language == "console":
            return _of_console(self.text)
        joined = re.sub(r"(\\|\||&&)\n", r"\1\0", self.text)
        return [Command(line.replace("\0", "\n"), None) for line in joined.splitlines() if line.strip()]


def blocks(page: Path) -> list[Block]:
    """All blocks of the page, in order."""
    found: list[Block] = []
    marks: dict[str, str] = {}
    lines: Iterator[tuple[int, str]] = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    for number, line in lines:
        if comment := _COMMENT.fullmatch(line.strip()):
            if comment[1] == "stop":
                found.append(Block(page, number, "", "", {"stop": comment[2]}))
            else:
                marks[comment[1]] = comment[2]
            continue
        if fence := re.fullmatch(r"( *)```(\w*)", line):
            content = "\n".join(line.removeprefix(fence[1]) for line in _until_fence(lines))
            found.append(Block(page, number, _language(fence[2], content), content, marks))
        marks = {}
    return found


def _language(name: str, text: str) -> str:
    """`sh` or `console` for a block of commands that names no language."""
    if name or not re.search(rf"^(\$ |({_COMMAND})[ =])", text, re.MULTILINE):
        return name
    return "console" if text.startswith("$ ") else "sh"


def _until_fence(lines: Iterator[tuple[int, str]]) -> list[str]:
    content = []
    for _, line in lines:
        if line.strip() == "```":
            break
        content.append(line)
    return content


def _of_console(text: str) -> list[Command]:
    commands: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append(Command(line[2:], []))
        elif line.startswith("> ") and commands and not commands[-1].printed:
            commands[-1] = Command(f"{commands[-1].text}\n{line[2:]}", [])
        elif commands:
            assert commands[-1].printed is not None
            commands[-1].printed.append(line)
    return commands
