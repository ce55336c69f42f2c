"""A command that continues in its own session."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys, typer
from labelstream.deploy.cli.common.process_group import run_in_new_session
try:
    folder = run_in_new_session()
except typer.Exit as ended:
    sys.exit(ended.exit_code)
print(os.getsid(0) == os.getpid(), os.environ["RAY_TMPDIR"] == str(folder), folder, flush=True)
if sys.argv[1:]:
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(7)
"""


@pytest.mark.parametrize(("arguments", "code"), [((), 7), (("killed",), 128 + signal.SIGKILL)])
def test_new_session_removes_its_folder(arguments: tuple[str, ...], code: int) -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60)
    leads, told, folder = ended.stdout.split()
    assert (leads, told) == ("True", "True")
    assert not Path(folder).exists()
    assert ended.returncode == code
