"""Shields Ray's processes from the terminal's signals, which would kill them before they can stop in order.

GNU `timeout`, a closed terminal and `kill -- -GROUP` signal a whole process group. So a command that starts Ray
continues in a child with its own session, together with Ray's processes. The parent only forwards signals.
"""

import atexit
import ctypes
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import typer

from labelstream.deploy.cluster.run_folder import make_run_folder, use_run_folder

_PR_SET_PDEATHSIG = 1


def run_in_new_session(machine_checked: bool = False) -> Path:
    """Fork. Returns the run's folder in the child; the parent waits, and exits with the child's exit code.

    The folder holds Ray's sockets, its logs and the run's token, and is removed at the end. Call this before any thread
    is started and before ray is imported. `machine_checked`: the caller checks the machine itself. Raises StartError if
    this machine cannot run Ray (see `require_machine`), or if there is no place for the folder.
    """
    from labelstream.deploy.cluster.machine import require_machine
    from labelstream.deploy.cluster.secret_files import move_secrets_to_files

    if not machine_checked:
        require_machine()
    folder = make_run_folder()
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGINT, signal.SIGTERM):
        # In both processes: at its end the interpreter restores the default handlers, which kill. This runs before.
        atexit.register(signal.signal, number, signal.SIG_IGN)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.setsid()
        use_run_folder(folder)
        move_secrets_to_files(folder)
        for number in (signal.SIGINT, signal.SIGTERM):
            # `stops_on_signals` installs its own handler. After that block the process is ending, and must not be
            # cut off. Not SIG_IGN: Ray's processes would inherit it.
            signal.signal(number, lambda number, frame: None)
        atexit.register(shutil.rmtree, folder, True)  # in case the parent is gone; Ray stops before this runs
        _end_with(parent)
        return folder
    try:
        code = _wait_for(child)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # processes that a crash left; normally none
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code if code >= 0 else 128 - code)


def _wait_for(child: int) -> int:
    """The child's exit code, as subprocess gives it. Forwards signals until then."""

    def forward(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM if number == signal.SIGHUP else number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _end_with(parent: int) -> None:
    """Send SIGTERM to this process when its parent dies for any reason (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
