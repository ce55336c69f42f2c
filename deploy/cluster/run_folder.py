"""The folder of a run on this machine, private to its user: Ray's files, the run's token and its note.

The holder of the token can run code in that Ray. A folder that another user made or can read is ignored.
"""

import os
import pwd
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from labelstream.deploy.cluster.network import LOOPBACK, keep_on_loopback
from labelstream.deploy.cluster.run_note import RunNote
from labelstream.workers.errors import StartError

PREFIX, NOTE, TOKEN = "labelstream-", "run.json", "token"
RANDOM = 8  # random characters that tempfile appends to the prefix
RAYS_NOTE = Path("/tmp/ray/ray_current_cluster")  # noqa: S108
# A socket's path has at most 107 bytes. Ray appends 68 bytes to the folder, and the folder's name takes 21.
MAX_PLACE_BYTES = 18
MIN_FREE_BYTES = 64 << 20  # for logs; Ray needs some MB to start
MAX_NOTE_BYTES = 1 << 20
CONNECT_S = 1.0
STARTING_S = 600.0  # an older note belongs to a killed run, whose process id may be reused


class Run(NamedTuple):
    """A local Ray that a command of this user started."""

    folder: Path
    note: RunNote
    token: str

    @property
    def address(self) -> str:
        return self.note.address


def places() -> list[Path]:
    """Candidates for the parent of a run's folder; the first one that fits is used."""
    wanted = [Path("/tmp"), *(Path(os.environ[name]) for name in ("TMPDIR", "XDG_RUNTIME_DIR") if os.environ.get(name))]  # noqa: S108
    return list(dict.fromkeys(wanted))


def unfit(place: Path, needed_bytes: int = MIN_FREE_BYTES) -> str | None:
    """Why a folder with Ray's sockets and `needed_bytes` cannot be made in `place`; None if it can."""
    length = len(os.fsencode(place))
    return f"a path of {length} characters" if length > MAX_PLACE_BYTES else no_room(place, needed_bytes)


def no_room(folder: Path, needed_bytes: int = 0) -> str | None:
    """Why `needed_bytes` cannot be written in `folder`; None if they can."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return error.strerror
    free = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        return "read-only"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "not writable"
    return f"{free >> 20} MiB free" if free < needed_bytes else None


def make_run_folder() -> Path:
    """Make a new folder with a token. Raises StartError with the problem of each place."""
    refused = {}
    for place in places():
        reason = unfit(place)
        try:
            if reason is None:
                return _make(place)
        except OSError as error:
            reason = error.strerror
        refused[place] = reason
    raise StartError(no_place(refused))


def no_place(refused: Mapping[Path, str | None]) -> str:
    """Each place with its problem, and the fix."""
    tried = ", ".join(f"{place} ({why})" for place, why in refused.items())
    return (
        f"no place for Ray's files and sockets: {tried}; make {MIN_FREE_BYTES >> 20} MiB free in one, or name "
        f"another in TMPDIR, of at most {MAX_PLACE_BYTES} characters"
    )


def _make(place: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    try:
        _write(folder / TOKEN, secrets.token_hex(32))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def use_run_folder(folder: Path) -> None:
    """Make the Ray that this process starts use `folder`, ask for the folder's token, and listen on loopback only.

    Call before importing ray.
    """
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):
        os.environ.pop(name, None)
    os.environ["RAY_TMPDIR"] = str(folder)
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN_PATH"] = "token", str(folder / TOKEN)
    keep_on_loopback(os.environ)


def use_run(run: Run) -> None:
    """Make this process join `run`. Call before importing ray."""
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", run.token
    use_address(run.address)


def use_address(address: str) -> None:
    """Make this process join the Ray at `address`. Call before importing ray: ray would replace a loopback address by
    the machine's address.
    """
    if address.rpartition(":")[0].strip("[]") in LOOPBACK:
        keep_on_loopback(os.environ)


def write_note(folder: Path, note: RunNote) -> None:
    """Tell other commands of this user what runs in `folder`; replaces the earlier note.

    Ray itself keeps no note of a local cluster.
    """
    _write(folder / NOTE, note.to_json())


def noted_runs() -> list[Run]:
    """This user's runs on this machine that answer, oldest first. A killed run leaves its folder behind."""
    return [run for run in _all_noted() if _answers(run.address)]


def starting_runs() -> list[RunNote]:
    """Runs whose Ray is not up yet, so that nothing can join them."""
    since = time.time() - STARTING_S
    notes = [run.note for run in _all_noted() if not run.address]
    return [note for note in notes if note.started_at > since and _is_alive(note.pid)]


def _all_noted() -> list[Run]:
    found = []
    for folder in _folders():
        with suppress(OSError, ValueError):  # another user's folder, a run that has just ended, or a note being written
            note, token = _read(folder, NOTE, TOKEN)
            found.append(Run(folder, RunNote.from_json(note), token))
    return sorted(found, key=lambda run: run.note.started_at)


def _is_alive(pid: int) -> bool:
    """Whether `pid` is a process of this user."""
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return True


def other_owners() -> list[str]:
    """Other users with a run's folder on this machine; a killed run may have left it."""
    found = set()
    for folder in _folders():
        with suppress(OSError, KeyError):  # just removed, or a user without a name
            owner = folder.lstat().st_uid
            if owner != os.geteuid():
                found.add(pwd.getpwuid(owner).pw_name)
    return sorted(found)


def _folders() -> list[Path]:
    return sorted(folder for place in places() for folder in place.glob(f"{PREFIX}{'?' * RANDOM}"))


def rays_choice() -> str:
    """The cluster that Ray would choose: RAY_ADDRESS, else the cluster that this user started on this machine.

    Raises StartError. Ray itself would accept a note that any user wrote.
    """
    if address := os.environ.get("RAY_ADDRESS"):
        return address
    try:
        return _read(RAYS_NOTE.parent, RAYS_NOTE.name, private=False)[0].strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "unreadable"
        raise StartError(
            f"--address auto: RAY_ADDRESS is not set, and you run no Ray on this machine ({RAYS_NOTE}: {reason}); "
            "give HOST:PORT"
        ) from None


def _write(path: Path, text: str) -> None:
    """Write atomically: a reader finds the whole file or none."""
    new = path.with_suffix(f".{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="ascii") as file:
        file.write(text)
    new.replace(path)


def _read(folder: Path, *names: str, private: bool = True) -> list[str]:
    """Contents of files in `folder`. Raises OSError if one belongs to another user or `folder` is not private, and
    ValueError if one is not text. Follows no link, and checks the opened file, not its name.
    """
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if private:
            _require_own(os.fstat(at), 0o077)
        return [_read_file(at, name) for name in names]
    finally:
        os.close(at)


def _read_file(folder: int, name: str) -> str:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        _require_own(os.fstat(file), 0o002)
        return os.read(file, MAX_NOTE_BYTES).decode("ascii")
    finally:
        os.close(file)


def _require_own(found: os.stat_result, forbidden: int) -> None:
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & forbidden:
        raise PermissionError(1, "belongs to another user, or others may change it")


def _answers(address: str) -> bool:
    """Whether something listens at `address`. On loopback the answer is immediate."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError):
        return False
    return True
