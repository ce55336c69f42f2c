"""What to do after the demo: commands that can be pasted where the user stands."""

import shlex
import shutil
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorials" / "get-started.md"


def next_steps(executable: Path | None = None, tutorial: Path = TUTORIAL) -> list[str]:
    """Three lines: what comes next, and two commands. The first puts `labelstream` on the PATH where it is not.

    `executable`: the Python that runs, this process' own by default. Only a checkout has the tutorial.
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
    """The path for a shell: from the working directory where it is inside, and quoted where that is needed."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
