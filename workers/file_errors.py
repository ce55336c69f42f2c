"""Why a file that the user has named cannot be opened: for a permission, who may not, and what stands in the way."""

import grp
import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def file_problem(error: OSError | ValueError, path: str | Path) -> str:
    """What is wrong, without the path: `No such file or directory`, `not UTF-8`, or the permission that is missing.

    A permission names this user, and owner, group and mode of the file or of the folder above it that refuses.
    """
    if not isinstance(error, OSError):
        return "not UTF-8" if isinstance(error, UnicodeError) else str(error)
    reason = error.strerror or type(error).__name__
    if not isinstance(error, PermissionError):
        return reason
    place = _in_the_way(Path(path))
    try:
        found = place.stat()
    except OSError:
        return reason
    owner, group = _name(pwd.getpwuid, found.st_uid), _name(grp.getgrgid, found.st_gid)
    what = "it" if place == Path(path).absolute() else str(place)
    return f"{reason}: you are {_me()}, {what} belongs to {owner}:{group}, mode {found.st_mode & 0o7777:04o}"


def _in_the_way(path: Path) -> Path:
    """The first folder that does not let us through; else the file, or its folder where it is not there."""
    whole = path.absolute()
    for folder in reversed(whole.parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return folder
    return whole if whole.exists() else whole.parent


def _me() -> str:
    return _name(pwd.getpwuid, os.geteuid())


def _name(look_up: Callable[[int], tuple[object, ...]], number: int) -> str:
    """`root`, or the number where it has no name."""
    with suppress(KeyError):
        return str(look_up(number)[0])
    return str(number)
