"""What a person must know of Serve's messages, which are whole tracebacks."""

import re

from labelstream.workers.errors import ModelError, StartError

# Ours end with a line of this form, wherever Ray puts the traceback.
_OWN_ERROR = re.compile(r"workers\.errors\.(\w+): (.+)")
_PERMANENT = ("ModelError", "ConfigError", "StartError")


def raise_own_error(message: str) -> None:
    """Raise the last of our own errors in `message` that does not pass by itself, in one line; else do nothing."""
    for kind, text in reversed(_OWN_ERROR.findall(message)):
        if kind in _PERMANENT:
            raise (ModelError if kind == "ModelError" else StartError)(text.strip())


def last_line(text: str) -> str:
    """Where a traceback says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "no reason given"
