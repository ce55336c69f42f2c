"""Run a command only as long as its starter lives: `python guard.py FOLDER COMMAND...`.

SIGTERM is passed to the command, and SIGUSR1 kills it. This process exits after the command, with its exit status. The
starter holds the other end of stdin: when the starter ends, even by SIGKILL, stdin closes. The guard then stops the
command and removes FOLDER (none if empty). The kernel's parent-death signal alone would not work: it comes when the
starting *thread* ends, and tests restart brokers from threads.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial

PR_SET_PDEATHSIG = 1
GRACE_S = 10.0


def main(folder: str, command: list[str]) -> int:
    # preexec_fn is safe here: this process has one thread so far, which lives until the command ends.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=partial(die_with, os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGUSR1, lambda *_: child.kill())
    orphaned = threading.Event()
    threading.Thread(target=stop_at_eof, args=(child, orphaned), daemon=True).start()
    status = child.wait()
    if orphaned.is_set() and folder:
        shutil.rmtree(folder, ignore_errors=True)
    return status


def die_with(parent: int) -> None:
    """Make the kernel kill the calling process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # too late: the parent has ended already
        os._exit(1)


def stop_at_eof(child: subprocess.Popen[bytes], orphaned: threading.Event) -> None:
    while os.read(0, 1):
        pass
    orphaned.set()
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]) & 0xFF)
