"""A command in a terminal of 80 columns, and what a person sees there in the end."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

COLUMNS, ROWS = 80, 50
# A control sequence (its parameters, its letter), another escape, or one character.
_PIECE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b.|([^\x1b])", re.DOTALL)


class Screen:
    """Lines of a terminal, scrolled-out ones included. Knows what rich writes: colours, cursor up, erased lines."""

    def __init__(self) -> None:
        self._lines = [""]
        self._row = 0
        self._is_new = True  # nothing since the carriage return: what comes replaces the line

    def feed(self, text: str) -> None:
        for piece in _PIECE.finditer(text):
            parameters, letter, character = piece.groups()
            if letter == "A":
                self._row = max(0, self._row - int(parameters or 1))
            elif letter == "K":
                self._lines[self._row] = ""
            elif letter == "m":
                self._put(piece.group())
            elif character == "\r":
                self._is_new = True
            elif character == "\n":
                self._row += 1
                self._is_new = True
                if self._row == len(self._lines):
                    self._lines.append("")
            elif character:
                self._put(character)

    def _put(self, text: str) -> None:
        if self._is_new:
            self._lines[self._row] = ""
        self._is_new = False
        self._lines[self._row] += text

    @property
    def styled(self) -> list[str]:
        """The lines, with the escape sequences of their colours."""
        return list(self._lines)

    @property
    def plain(self) -> list[str]:
        """The lines, without colours and blanks at their ends."""
        return [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in self._lines]


def _take_terminal() -> None:
    """In the child: stdin becomes its terminal. Ctrl-C works, also where the tests were started with nohup."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A shell command in a new terminal."""

    def __init__(self, command: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.command, self._screen = command, Screen()
        self._keyboard, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), **(environment or {})},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(terminal)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the last process has closed the terminal
            while data := os.read(self._keyboard, 65536):
                self._screen.feed(data.decode("utf-8", "replace"))

    @property
    def screen(self) -> Screen:
        return self._screen

    @property
    def code(self) -> int | None:
        """The exit code, or None while the command runs."""
        return self._process.poll()

    def wait_for(self, is_there: Callable[[list[str]], bool], timeout_s: float) -> None:
        """Until the lines are as wanted. Raises AssertionError with the lines at the end of time or command."""
        deadline = time.monotonic() + timeout_s
        while not is_there(self._screen.plain):
            if self.code is not None or time.monotonic() > deadline:
                self._reader.join(1)
                assert is_there(self._screen.plain), self.told("did not print what was expected")
            time.sleep(0.1)

    def wait(self, timeout_s: float) -> int:
        """The exit code, when the command has ended and all of its output is on the screen."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.told(f"did not end within {timeout_s:.0f} s")) from None
        self._reader.join(5)
        return code

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def press_ctrl_c(self) -> None:
        self.type("\x03")

    def close(self) -> None:
        """End the command, if it still runs, with all processes of its session's group."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
        if self.code is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        os.close(self._keyboard)

    def told(self, what: str) -> str:
        """A failure's text: the command, what is wrong, and the screen."""
        return "\n".join([f"$ {self.command}", f"  {what}:", *self._screen.plain])
