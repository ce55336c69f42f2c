"""The next steps after the demo: commands to paste in the current directory."""

import shlex
import shutil
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorials" / "get-started.md"


def next_steps(executable: Path | None = None, tutorial: Path = TUTORIAL) -> list[str]:
    """A heading and two commands. The first command activates the venv if `labelstream` is not on the PATH.

    `executable`: the Python in use (default: of this process). Only a checkout has the tutorial.
    """
    activate = (executable or Path(sys.executable)).parent / "activate"
    missing = not shutil.which("labelstream") and activate.is_file()
    page = f" ({_from_here(tutorial)})" if tutorial.is_file() else ""
    return [
        f"Next: your own text, then your broker{page}.",
        f"  {f'. {_from_here(activate)}; ' if missing else ''}labelstream classify 'The room was clean'",
        "  labelstream init",
    ]


def _from_here(path: Path) -> str:
    """The path quoted for a shell, relative to the working directory if it is inside."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
