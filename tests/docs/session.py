"""A reader at a page: runs its commands in order, in a checkout of their own, and compares what is printed."""

import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from tests.docs.blocks import SHELL, Block, Command
from tests.docs.comparison import matches
from tests.docs.terminal import Terminal
from tests.support.command import ROOT

PORT = "9092"  # on the pages
LOOKS_AGAIN = ("labelstream tail", "labelstream dlq list", "labelstream status", "labelstream lag")  # as a reader would
COMMAND_S, RESULTS_S = 300.0, 60.0
ENDED = {0, 130, -2}  # by Ctrl-C: by itself, or as make ends
_NOT_COPIED = {".git", "build", "dist"}


def checkout(folder: Path) -> Path:
    """A folder that looks like the checkout, in which a reader's files harm nobody."""
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in _NOT_COPIED:
            (folder / path.name).symlink_to(path)
    return folder


class Session:
    """`port`: what stands in for the pages' 9092. A terminal's environment and folder last from command to command."""

    def __init__(self, folder: Path, port: int, environment: Mapping[str, str] | None = None) -> None:
        self._folder, self._port, self._environment = folder, str(port), dict(environment or {})
        self._environment["MAKEFLAGS"] = f"PORT={port}"
        self._running: list[tuple[str, Terminal]] = []
        self.ran: list[str] = []

    def follow(self, block: Block) -> None:
        """Do what the block says. Raises AssertionError where a command does not do what the page shows."""
        if name := block.marks.get("file"):
            self._write(name, block)
        elif command := block.marks.get("stop"):
            self._stop(command, block)
        elif block.language in SHELL and "needs" not in block.marks:
            for command in block.commands:
                self._run(command, block)

    def type(self, command: str) -> None:
        """A command of no page, in the first terminal."""
        self._run(Command(command, None), Block(self._folder, 0, "sh", command, {}))

    def close(self) -> None:
        """Stop what still runs, the newest first."""
        while self._running:
            _end(self._running.pop()[1])

    def _run(self, command: Command, block: Block) -> None:
        self.ran.append(command.text)
        until = block.marks.get("until")
        if until and command == block.commands[-1]:
            terminal = Terminal(self._in_shell(command.text, block), self._folder, self._environment)
            self._running.append((command.text, terminal))
            terminal.wait_for(lambda lines: any(until in line for line in lines), COMMAND_S)
            self._compare(command, terminal, block)
            return
        deadline = time.monotonic() + (RESULTS_S if command.text.startswith(LOOKS_AGAIN) else 0)
        while not self._succeeds(command, block, is_last=time.monotonic() >= deadline):
            time.sleep(1)

    def _succeeds(self, command: Command, block: Block, is_last: bool) -> bool:
        """Raises AssertionError where it does not, if it is the last attempt."""
        state = shlex.quote(str(self._state(block)))
        keep = f"code=$?; {{ export -p; printf 'cd %q\\n' \"$PWD\"; }} > {state}; exit $code"
        terminal = Terminal(f"{self._in_shell(command.text, block)}\n{keep}", self._folder, self._environment)
        try:
            if answer := block.marks.get("typed"):
                terminal.wait_for(lambda lines: lines[-1].endswith((":", "?")), COMMAND_S)
                terminal.type(f"{answer}\n")
            code, expected = terminal.wait(COMMAND_S), int(block.marks.get("exit", 0))
            if is_last:
                assert code == expected, f"{block.place}: {terminal.told(f'ended with {code}, not {expected}')}"
                self._compare(command, terminal, block)
            return is_last or (code == expected and self._is_as_shown(command, terminal, block))
        finally:
            terminal.close()

    def _compare(self, command: Command, terminal: Terminal, block: Block) -> None:
        shown = "\n".join(command.printed or [])
        assert self._is_as_shown(command, terminal, block), (
            f"{block.place}: {terminal.told('printed')}\n  the page shows:\n{shown}"
        )

    def _is_as_shown(self, command: Command, terminal: Terminal, block: Block) -> bool:
        if not command.printed:
            return True
        printed = [line.replace(f":{self._port}", f":{PORT}") for line in terminal.screen.plain]
        return matches(command.printed, printed, in_order=block.marks.get("lines") != "any order")

    def _state(self, block: Block) -> Path:
        """The file that brings a shell to where the block's terminal is. A new terminal is at the checkout."""
        path = self._folder / f".terminal-{block.marks.get('terminal', 'first')}"
        if not path.exists():
            path.write_text(f"cd {shlex.quote(str(self._folder))}\n")
        return path

    def _in_shell(self, command: str, block: Block) -> str:
        return f". {shlex.quote(str(self._state(block)))}\n{self._here(command)}"

    def _write(self, name: str, block: Block) -> None:
        _, here = shlex.split(self._state(block).read_text().splitlines()[-1])
        (Path(here) / name).write_text(self._here(block.text) + "\n", encoding="utf-8")

    def _stop(self, command: str, block: Block) -> None:
        running = next((pair for pair in self._running if pair[0].startswith(command)), None)
        assert running, f"{block.place}: no `{command}` runs that could be stopped"
        self._running.remove(running)
        _end(running[1])

    def _here(self, text: str) -> str:
        return text.replace(f":{PORT}", f":{self._port}")


def _end(terminal: Terminal) -> None:
    terminal.press_ctrl_c()
    try:
        code = terminal.wait(120)
        assert code in ENDED, terminal.told(f"ended with {code} after Ctrl-C")
    finally:
        terminal.close()
