"""The logs of a local Ray whose run has failed: its folder goes with it, they stay."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

LOGS = Path("ray", "session_latest", "logs")
PREFIX = "labelstream-logs-"
MOST_KEPT = 5


def keep_logs(folder: Path) -> Path | None:
    """Copy what Ray and Serve logged in the run's `folder`; returns where, for this user alone. None: there is nothing.

    What cannot be copied is left out. Of this user's runs the last `MOST_KEPT` have their logs here: a service that is
    restarted again and again fills no disk.
    """
    logs = folder / LOGS
    if not logs.is_dir():
        return None
    made = Path(tempfile.mkdtemp(prefix=PREFIX))
    for older in _of_this_user(made.parent)[:-MOST_KEPT]:
        shutil.rmtree(older, ignore_errors=True)
    kept = made / "logs"
    with suppress(OSError, shutil.Error):
        shutil.copytree(logs, kept, dirs_exist_ok=True, ignore=_links)
    return kept


def _of_this_user(parent: Path) -> list[Path]:
    """Folders of logs, the oldest first."""
    found: list[tuple[float, Path]] = []
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = path.lstat()
            if status.st_uid == os.getuid() and not path.is_symlink():
                found.append((status.st_mtime, path))
    return [path for _, path in sorted(found)]


def _links(place: str, names: list[str]) -> list[str]:
    """Some lead to sockets, and to folders that go."""
    return [name for name in names if Path(place, name).is_symlink()]
