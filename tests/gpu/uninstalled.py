"""Imports `labelstream` from a checkout on a machine without an installation. Uses the standard library only."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

PARTS = ("workers", "deploy", "schemas")
STAND_INS = Path(__file__).parent / "stand_ins"


def make_importable(root: Path) -> None:
    """Have this process and its children import `labelstream` from the checkout `root`."""
    if sys.modules.get("pydantic", sys) is None or importlib.util.find_spec("pydantic") is None:
        sys.modules.pop("pydantic", None)
        sys.path.insert(0, str(STAND_INS))
        os.environ["PYTHONPATH"] = python_path(STAND_INS)
    if importlib.util.find_spec("labelstream") is not None:
        return
    folder = Path(tempfile.mkdtemp(prefix="labelstream-links-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "labelstream").mkdir()
    (folder / "labelstream/__init__.py").symlink_to(root / "workers/public/__init__.py")
    for part in PARTS:
        (folder / "labelstream" / part).symlink_to(root / part, target_is_directory=True)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = python_path(folder)


def python_path(*first: Path) -> str:
    """PYTHONPATH for a child: `first`, then this process' own."""
    return os.pathsep.join([*map(str, first), *filter(None, [os.environ.get("PYTHONPATH")])])
