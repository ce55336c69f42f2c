"""Converted models on this machine: OpenVINO's IR (XML and plain weights, nothing that could run code) and notes.

Each is a folder named by all that it depends on, inside of the folder that the hub's library keeps for what others make
of models (`HF_HOME/assets`): where models are kept on a volume, these are too. It may be deleted at any time.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import cached_assets_path

from labelstream.workers.engine.error_text import one_line

logger = logging.getLogger(__name__)

MODEL, _WEIGHTS, _NOTES = "model.xml", "model.bin", "notes.json"
_KEY_DIGITS = 32


class Converted(NamedTuple):
    """`path`: of the IR's XML. `notes`: what was put beside it."""

    path: Path
    notes: Mapping[str, Any]


def place_of(source: str, **depends_on: Any) -> Path | None:
    """The folder for a model that is made of `source` and depends on plain data; None where nothing can be kept."""
    key = hashlib.sha256(json.dumps({"source": source, **depends_on}, sort_keys=True).encode()).hexdigest()
    try:
        return cached_assets_path("labelstream", namespace="openvino", subfolder=source) / key[:_KEY_DIGITS]
    except (OSError, ValueError) as error:
        logger.warning("%s: the converted model is not kept: %s", source, one_line(error))
        return None


def find(place: Path) -> Converted | None:
    """What was put there, where it is whole: its files have the digests that they had when they were written."""
    try:
        noted = json.loads((place / _NOTES).read_bytes())
        if noted["digests"] == _digests(place):
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
        return find(place)
    except (OSError, RuntimeError) as error:  # OpenVINO's writer raises the latter
        logger.warning("the converted model is not kept: %s", one_line(error))
        return None
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


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
