"""Ray's processes must not see the terminal's signals: one that reaches them all kills them before us.

GNU `timeout`, a closed terminal and `kill -- -GROUP` signal a whole process group. So a command that starts Ray goes
on in a child in a session of its own, with Ray's processes, and this process only passes signals on.
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


def run_in_new_session(looked: bool = False) -> Path:
    """Returns in the child, with the folder. Here it ends with the child's exit code, when no process of it is left.

    Ray keeps its sockets, its logs and the run's token in a folder that is removed with it. To be called before any
    thread is started, and before ray is imported. Raises StartError where this machine cannot run it, see
    `require_machine`, unless the caller has `looked` or will, and where there is no place for the folder.
    """
    from labelstream.deploy.cluster.machine import require_machine
    from labelstream.deploy.cluster.secret_files import move_secrets_to_files

    if not looked:
        require_machine()
    folder = make_run_folder()
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGINT, signal.SIGTERM):
        # In both of us: the interpreter's own end puts back the defaults, which kill. This runs last before it.
        atexit.register(signal.signal, number, signal.SIG_IGN)
    us = os.getpid()
    child = os.fork()
    if child == 0:
        os.setsid()
        use_run_folder(folder)
        move_secrets_to_files(folder)
        for number in (signal.SIGINT, signal.SIGTERM):
            # Who wants to be stopped says so with `stops_on_signals`. Behind that we are ending anyhow, and must not
            # be cut off. No SIG_IGN: Ray's processes would inherit it.
            signal.signal(number, lambda number, frame: None)
        atexit.register(shutil.rmtree, folder, True)  # should nobody be left to do it; Ray's own ending comes before
        _end_with(us)
        return folder
    try:
        code = _wait_for(child)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what a crash has left; normally nobody
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code if code >= 0 else 128 - code)


def _wait_for(child: int) -> int:
    """Its exit code, as subprocess gives it. Signals to us are passed on meanwhile."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM if number == signal.SIGHUP else number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _end_with(parent: int) -> None:
    """SIGTERM for this process when its parent dies of whatever cause (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
