"""A cache of converted models on this machine: OpenVINO's IR (XML and weights, which cannot run code) and notes.

Each entry is a folder in `HF_HOME/assets`, where huggingface_hub keeps files derived from models, so a volume for
models also keeps the entries. A hash of all that the conversion depends on names the folder. The cache may be deleted
at any time.

Entries that another user may have changed are not read. Above `MAX_BYTES` the least recently used entries are removed.
"""

import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import cached_assets_path

from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.file_trust import is_trusted

logger = logging.getLogger(__name__)

MODEL, _WEIGHTS, _NOTES = "model.xml", "model.bin", "notes.json"
_KEY_DIGITS = 32
_LIBRARY, _NAMESPACE = "labelstream", "openvino"
MAX_BYTES = 20 << 30


class Converted(NamedTuple):
    """`path`: the XML file of the IR. `notes`: the notes given to `put`."""

    path: Path
    notes: Mapping[str, Any]


class Entry(NamedTuple):
    """`model`: the model's source; in entries of older versions the folder's name. `used_at`: seconds since 1970."""

    model: str
    folder: Path
    size: int
    used_at: float


def place_of(source: str, **depends_on: Any) -> Path | None:
    """The folder for the converted model of `source`, which depends on plain data; None if there is no cache folder."""
    key = hashlib.sha256(json.dumps({"source": source, **depends_on}, sort_keys=True).encode()).hexdigest()
    try:
        return cached_assets_path(_LIBRARY, namespace=_NAMESPACE, subfolder=source) / key[:_KEY_DIGITS]
    except (OSError, ValueError) as error:
        logger.warning("%s: the converted model is not cached: %s", source, one_line(error))
        return None


def find(place: Path) -> Converted | None:
    """The entry in `place` if this user or root wrote it and its files still have their digests; else None."""
    try:
        if not _is_trusted(place):
            logger.warning("%s is not used: another user owns the folder or may write to it", place)
            return None
        noted = json.loads((place / _NOTES).read_bytes())
        if noted["digests"] == _digests(place):
            with suppress(OSError):  # the cache may be mounted read-only
                os.utime(place / _NOTES)
            return Converted(place / MODEL, noted["notes"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    logger.warning("%s is damaged; converting the model again", place)
    return None


def put(place: Path, write: Callable[[Path], None], notes: Mapping[str, Any]) -> Converted | None:
    """Have `write` write the IR to the path that it gets, and cache the files with `notes` (plain data).

    Atomic: other processes may read or put the same entry, and this process may die. None if caching fails.
    """
    made: Path | None = None
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        write(made / MODEL)
        (made / _NOTES).write_text(json.dumps({"digests": _digests(made), "notes": dict(notes)}))
        _move(made, place)
        _evict(place)
        return find(place)
    except (OSError, RuntimeError) as error:  # OpenVINO's writer raises RuntimeError
        logger.warning("the converted model is not cached: %s", one_line(error))
        return None
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def entries() -> list[Entry]:
    """All entries, sorted by model."""
    root = cached_assets_path(_LIBRARY, namespace=_NAMESPACE).parent
    return sorted(
        Entry(_source(notes), notes.parent, _size(notes.parent), notes.stat().st_mtime)
        for notes in root.glob(f"*/[!.]*/{_NOTES}")
    )


def _source(notes: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(notes.read_bytes())["notes"]["source"])
    return notes.parent.parent.name


def remove(entry: Entry) -> None:
    """Remove an entry, by a rename first so that no process reads half of it. Raises OSError."""
    aside = Path(tempfile.mkdtemp(prefix=f".{entry.folder.name}-", dir=entry.folder.parent))
    try:
        entry.folder.rename(aside / entry.folder.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _evict(kept: Path) -> None:
    found = sorted(entries(), key=lambda entry: entry.used_at)
    total = sum(entry.size for entry in found)
    for entry in found:
        if total <= MAX_BYTES:
            return
        if entry.folder != kept:
            logger.info("%s: removing the least recently used converted model to make room", entry.model)
            remove(entry)
            total -= entry.size


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _is_trusted(folder: Path) -> bool:
    """Whether only this user or root can have written to `folder`. Raises FileNotFoundError."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and is_trusted(found)


def _move(made: Path, place: Path) -> None:
    try:
        made.rename(place)
        return
    except OSError:
        if find(place) is not None:  # another process was faster
            return
    # The existing entry is damaged. Rename it before deleting, so that no process reads half of it.
    aside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        if place.exists():
            place.rename(aside / "damaged")
        made.rename(place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _digests(folder: Path) -> dict[str, str]:
    digests = {}
    for name in (MODEL, _WEIGHTS):
        with (folder / name).open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
