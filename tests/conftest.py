"""What tests make of models is kept for as long as they run, and nowhere near the user's own."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "labelstream-assets-"  # behind it the process that removes the folder at its end


def _remove_those_of_killed_runs() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}[0-9]*-*"):
        if not Path("/proc", folder.name.removeprefix(PREFIX).split("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


# Read when huggingface_hub is imported; processes that tests start, Ray's and pytest-xdist's among them, inherit it.
if "LABELSTREAM_TEST_ASSETS" not in os.environ:
    _remove_those_of_killed_runs()
    _folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    os.environ["LABELSTREAM_TEST_ASSETS"] = os.environ["HF_ASSETS_CACHE"] = _folder
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
