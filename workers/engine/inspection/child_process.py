"""Runs `inspect_files` in a child process, so that a hostile file can only crash or exhaust the child."""

import os
import subprocess
import sys
from pathlib import Path

from labelstream.workers.engine.inspection.inspect_files import FINE, MAX_MEMORY_BYTES, REFUSED
from labelstream.workers.errors import ModelError

TIMEOUT_S = 60.0  # an inspection takes 0.3 s on an idle machine, 2 s with the largest vocabularies
_COMMAND = [sys.executable, "-m", "labelstream.workers.engine.inspection.inspect_files"]


def inspect_in_child(source: str, folder: Path, timeout_s: float = TIMEOUT_S) -> None:
    """Raises ModelError if config or tokenizer in `folder` are refused, crash, or take too much time or memory."""
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OPENBLAS_NUM_THREADS": "1"}
    try:
        ended = subprocess.run(  # noqa: S603 - a module of Labelstream
            [*_COMMAND, str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{source}: {_last_line(error.stdout)} takes more than {timeout_s:g} s; use another revision"
        ) from None
    last = _last_line(ended.stdout)
    if last.startswith(REFUSED):
        raise ModelError(f"{source}: {last.removeprefix(REFUSED)}")
    if last != FINE:
        raise ModelError(
            f"{source}: {last} crashes, or takes more than {MAX_MEMORY_BYTES >> 30} GiB "
            f"(exit status {ended.returncode}); use another revision"
        )


def _last_line(printed: str | bytes | None) -> str:
    text = printed.decode() if isinstance(printed, bytes) else printed or ""
    return (text.splitlines() or ["the inspection of its files"])[-1]
