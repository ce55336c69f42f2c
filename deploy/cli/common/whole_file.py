"""Output files that are written completely or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.file_errors import file_problem


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[TextIO]:
    """A file that replaces `path` at a successful end of the context; otherwise `path` stays unchanged.

    Pipes and devices are written at once. Raises ConfigError naming `option` if the file cannot be created, StartError
    if it cannot be written, such as on a full disk.
    """
    target = path.resolve()  # keeps a symbolic link
    made: str | None = None
    try:
        if path.exists() and not path.is_file():  # a pipe or a device cannot be replaced, and /dev/stdout not resolved
            opened: int | Path = path
        else:
            opened, made = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        file = open(opened, "w", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(option, f"{path} cannot be written ({file_problem(error, path)})") from None
    try:
        with file:
            yield file
        if made is not None:
            os.chmod(made, _mode(target))
            os.replace(made, target)
    except OSError as error:
        kept = "" if made is None else "; the file is unchanged"
        raise StartError(f"{path} cannot be written ({error.strerror}){kept}") from None
    finally:
        if made is not None:
            with suppress(FileNotFoundError):
                os.unlink(made)


def _mode(target: Path) -> int:
    """The mode of the replaced file, else the mode that this process gives to new files."""
    with suppress(FileNotFoundError):
        return target.stat().st_mode & 0o777
    os.umask(mask := os.umask(0o077))
    return 0o666 & ~mask
