"""The logs of a local Ray whose run has failed: its folder goes with it, they stay."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

LOGS = Path("ray", "session_latest", "logs")


def keep_logs(folder: Path) -> Path | None:
    """Copy what Ray and Serve logged in the run's `folder`; returns where, for this user alone. None: there is nothing.

    What cannot be copied is left out.
    """
    logs = folder / LOGS
    if not logs.is_dir():
        return None
    kept = Path(tempfile.mkdtemp(prefix="labelstream-logs-")) / "logs"
    with suppress(OSError, shutil.Error):
        shutil.copytree(logs, kept, dirs_exist_ok=True, ignore=_links)
    return kept


def _links(place: str, names: list[str]) -> list[str]:
    """Some lead to sockets, and to folders that go."""
    return [name for name in names if Path(place, name).is_symlink()]
