"""Converted models on this machine: OpenVINO's IR (XML and plain weights, nothing that could run code) and notes.

Each is a folder named by all that it depends on, inside of the folder that the hub's library keeps for what others make
of models (`HF_HOME/assets`): where models are kept on a volume, these are too. It may be deleted at any time.

What another user may have put or changed there is not read. Above `MAX_BYTES` those go that were not used for longest.
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

logger = logging.getLogger(__name__)

MODEL, _WEIGHTS, _NOTES = "model.xml", "model.bin", "notes.json"
_KEY_DIGITS = 32
_LIBRARY, _NAMESPACE = "labelstream", "openvino"
MAX_BYTES = 20 << 30


class Converted(NamedTuple):
    """`path`: of the IR's XML. `notes`: what was put beside it."""

    path: Path
    notes: Mapping[str, Any]


class Entry(NamedTuple):
    """`model`: the source; the folder's name in entries of older versions. `used_at`: seconds since 1970."""

    model: str
    folder: Path
    size: int
    used_at: float


def place_of(source: str, **depends_on: Any) -> Path | None:
    """The folder for a model that is made of `source` and depends on plain data; None where nothing can be kept."""
    key = hashlib.sha256(json.dumps({"source": source, **depends_on}, sort_keys=True).encode()).hexdigest()
    try:
        return cached_assets_path(_LIBRARY, namespace=_NAMESPACE, subfolder=source) / key[:_KEY_DIGITS]
    except (OSError, ValueError) as error:
        logger.warning("%s: the converted model is not kept: %s", source, one_line(error))
        return None


def find(place: Path) -> Converted | None:
    """What was put there by this user or root, and is whole: its files have the digests that they were written with."""
    try:
        if not _is_trusted(place):
            logger.warning("%s is not used: it belongs to somebody else, or everybody may change it", place)
            return None
        noted = json.loads((place / _NOTES).read_bytes())
        if noted["digests"] == _digests(place):
            with suppress(OSError):  # a cache that is mounted read-only
                os.utime(place / _NOTES)
            return Converted(place / MODEL, noted["notes"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    logger.warning("%s is damaged: the model is converted anew", place)
    return None


def put(place: Path, write: Callable[[Path], None], notes: Mapping[str, Any]) -> Converted | None:
    """Let `write` write the IR to the path that it is given, and keep it with `notes` (plain data).

    Whole or not at all: others may read or put the same at the same time, and this process may die. None where it
    cannot be kept.
    """
    made: Path | None = None
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        write(made / MODEL)
        (made / _NOTES).write_text(json.dumps({"digests": _digests(made), "notes": dict(notes)}))
        _move(made, place)
        _evict(place)
        return find(place)
    except (OSError, RuntimeError) as error:  # OpenVINO's writer raises the latter
        logger.warning("the converted model is not kept: %s", one_line(error))
        return None
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def entries() -> list[Entry]:
    """What is kept of all models, by model and age."""
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
    """By a rename first, so that nobody reads half of it. Raises OSError."""
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
            logger.info("%s: a converted model that was not used for longest makes room", entry.model)
            remove(entry)
            total -= entry.size


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _is_trusted(folder: Path) -> bool:
    """Raises FileNotFoundError."""
    found = folder.lstat()
    own = found.st_uid in (os.geteuid(), 0)
    return own and stat.S_ISDIR(found.st_mode) and not found.st_mode & stat.S_IWOTH


def _move(made: Path, place: Path) -> None:
    try:
        made.rename(place)
        return
    except OSError:
        if find(place) is not None:  # somebody else was faster
            return
    # What is there is damaged. It leaves by a rename as well: nobody shall see half of it go.
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
