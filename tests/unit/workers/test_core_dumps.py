"""Neither a process nor its children leave core dumps."""

import subprocess
import sys

CHILD = "import resource, subprocess, sys; from labelstream.workers.core_dumps import forbid_core_dumps\n"
LIMIT = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])"


def test_child_processes_have_no_core_dumps() -> None:
    code = CHILD + f"forbid_core_dumps(); subprocess.run([sys.executable, '-c', {LIMIT!r}], check=True)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0"
