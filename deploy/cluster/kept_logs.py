"""Keeps the logs of a failed local run, whose folder is removed."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

LOGS = Path("ray", "session_latest", "logs")
PREFIX = "labelstream-logs-"
MOST_KEPT = 5


def keep_logs(folder: Path) -> Path | None:
    """Copy the logs of Ray and Serve out of the run's `folder`, readable by this user only. Returns the new folder, or
    None.

    Files that cannot be copied are skipped. The logs of this user's last `MOST_KEPT` failed runs are kept, so that a
    service that restarts forever does not fill the disk.
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
    """Kept folders of this user, oldest first."""
    found: list[tuple[float, Path]] = []
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = path.lstat()
            if status.st_uid == os.getuid() and not path.is_symlink():
                found.append((status.st_mtime, path))
    return [path for _, path in sorted(found)]


def _links(place: str, names: list[str]) -> list[str]:
    """Links are skipped: some lead to sockets or to folders that are removed."""
    return [name for name in names if Path(place, name).is_symlink()]
