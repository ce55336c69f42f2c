"""The command in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


LABELSTREAM = [sys.executable, "-m", "labelstream.deploy.cli"]


def call(*arguments: str, stdin: bytes = b"", timeout_s: float = 60) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*LABELSTREAM, *arguments], cwd=ROOT, input=stdin, capture_output=True, timeout=timeout_s)
