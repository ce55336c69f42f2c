"""Which cached files may be read: those that nobody else can have written."""

import os
import stat


def is_trusted(found: os.stat_result) -> bool:
    """Whether only this user or root can have written to a file or folder. `found`: of `lstat`."""
    return found.st_uid in (os.geteuid(), 0) and not found.st_mode & stat.S_IWOTH
