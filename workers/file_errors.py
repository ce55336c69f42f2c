"""Why a file that the user named cannot be opened, with users and modes for a missing permission."""

import grp
import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def file_problem(error: OSError | ValueError, path: str | Path) -> str:
    """The problem, without the path: `No such file or directory`, `not UTF-8`, or the missing permission.

    For a permission: this user, and the owner, group and mode of the file or parent folder that refuses.
    """
    if not isinstance(error, OSError):
        return "not UTF-8" if isinstance(error, UnicodeError) else str(error)
    reason = error.strerror or type(error).__name__
    if not isinstance(error, PermissionError):
        return reason
    refusing = _refusing_path(Path(path))
    try:
        found = refusing.stat()
    except OSError:
        return reason
    owner, group = _name(pwd.getpwuid, found.st_uid), _name(grp.getgrgid, found.st_gid)
    what = "it" if refusing == Path(path).absolute() else str(refusing)
    return f"{reason}: you are {_me()}, {what} belongs to {owner}:{group}, mode {found.st_mode & 0o7777:04o}"


def _refusing_path(path: Path) -> Path:
    """The first parent folder without search permission; else the file, or its folder if there is no file."""
    whole = path.absolute()
    for folder in reversed(whole.parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return folder
    return whole if whole.exists() else whole.parent


def _me() -> str:
    return _name(pwd.getpwuid, os.geteuid())


def _name(look_up: Callable[[int], tuple[object, ...]], number: int) -> str:
    """A user's or group's name, such as `root`; the number if it has no name."""
    with suppress(KeyError):
        return str(look_up(number)[0])
    return str(number)
