"""Extracts what a person must know from messages of Ray and Serve, which are whole tracebacks."""

import re

from labelstream.workers.errors import ModelError, StartError

# Errors of Labelstream end with a line of this form, wherever Ray puts the traceback.
_OWN_ERROR = re.compile(r"workers\.errors\.(\w+): (.+)")
_PERMANENT = ("ModelError", "ConfigError", "StartError")
_FRAME = re.compile(r'\s*File ".*", line \d+')
_CHAINED = "The above exception was the direct cause of the following exception:"
_MAX_CHARS = 1_000


def raise_own_error(message: str) -> None:
    """Raise the last error of Labelstream in `message` that needs a person, in one line; else do nothing."""
    for kind, text in reversed(_OWN_ERROR.findall(message)):
        if kind in _PERMANENT:
            raise (ModelError if kind == "ModelError" else StartError)(text.strip())


def cause_in(text: str) -> str:
    """The cause in one line: the exceptions of a chain of tracebacks, first cause first, or all of `text`."""
    causes = [" ".join(_behind_frames(part.splitlines())) for part in text.split(_CHAINED)]
    return "; ".join(cause for cause in causes if cause)[:_MAX_CHARS] or "no reason given"


def _behind_frames(lines: list[str]) -> list[str]:
    """The text of an exception, perhaps several lines: what follows the last frame and its line of code."""
    frames = [number for number, line in enumerate(lines) if _FRAME.match(line)]
    if frames:
        depth = _indent(lines[frames[-1]])
        lines = lines[frames[-1] + 1 :]
        while lines and _indent(lines[0]) > depth:  # code, and the marks below it
            del lines[0]
    return [word for line in lines for word in line.split()]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
