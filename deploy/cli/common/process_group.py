"""Ray's processes must not see the terminal's signals: one that reaches them all kills them before us.

GNU `timeout`, a closed terminal and `kill -- -GROUP` signal a whole process group. So a command that starts Ray goes
on in a child in a session of its own, with Ray's processes, and this process only passes signals on.
"""

import atexit
import ctypes
import os
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from labelstream.workers.errors import ConfigError

_PR_SET_PDEATHSIG = 1
PLACE, PREFIX, NOTE = "/tmp", "labelstream-", "address"  # noqa: S108
CONNECT_S = 1.0
Address = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="The Ray cluster that it runs on. `auto`: that of `labelstream run` on this "
        "machine, or else whichever Ray finds.",
    ),
]


def run_in_new_session() -> Path:
    """Returns in the child, with the folder. Here it ends with the child's exit code, when no process of it is left.

    Ray keeps its sockets and logs in a folder that is removed with it. To be called before any thread is started.
    """
    # A socket's path has at most 107 bytes, and Ray puts 70 of its own behind the folder: TMPDIR may be too long.
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=PLACE)
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGINT, signal.SIGTERM):
        # In both of us: the interpreter's own end puts back the defaults, which kill. This runs last before it.
        atexit.register(signal.signal, number, signal.SIG_IGN)
    us = os.getpid()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.environ["RAY_TMPDIR"] = folder
        for number in (signal.SIGINT, signal.SIGTERM):
            # Who wants to be stopped says so with `stops_on_signals`. Behind that we are ending anyhow, and must not
            # be cut off. No SIG_IGN: Ray's processes would inherit it.
            signal.signal(number, lambda number, frame: None)
        atexit.register(shutil.rmtree, folder, True)  # should nobody be left to do it; Ray's own ending comes before
        _end_with(us)
        return Path(folder)
    try:
        code = _wait_for(child)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what a crash has left; normally nobody
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code if code >= 0 else 128 - code)


def note_address(folder: Path, address: str) -> None:
    """Tell other commands of this user where the Ray in `folder` is. Ray itself keeps no note of a local one."""
    (folder / NOTE).write_text(address)


def noted_addresses() -> list[str]:
    """The local Rays that this user's commands have started, and that answer: who is killed leaves a note behind."""
    found = []
    for note in sorted(Path(PLACE).glob(f"{PREFIX}*/{NOTE}")):
        with suppress(OSError):  # another user's, or ended just now
            if note.stat().st_uid == os.getuid() and _answers(address := note.read_text()):
                found.append(address)
    return found


def _answers(address: str) -> bool:
    """Does anybody listen there? They are on loopback, where that is known at once."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError):  # the latter: the note is just being written
        return False
    return True


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


def address_of(address: str) -> str:
    """`auto` is the one `labelstream run` on this machine, where there is one. To be called before ray is imported."""
    if address != "auto":
        return address
    local = noted_addresses()
    if len(local) > 1:
        raise ConfigError(
            "--address", "more than one `labelstream run` is on this machine", f"name one of {', '.join(local)}"
        )
    if not local:
        return "auto"
    # A Ray that is started by `ray.init` asks for the user's token, but with an address given Ray does not show it.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    return local[0]
