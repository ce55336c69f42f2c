"""Where a model comes from: a directory or the hub -> a folder on this machine, and the name of its revision."""

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from labelstream.workers.engine.error_text import one_line
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)

# Everything a tokenizer or a config can be made of, and weights that cannot run code when they are read.
PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors"]
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH_DIGITS = 16


class Resolved(NamedTuple):
    """`folder`: holds config.json and *.safetensors. `revision`: the hub's commit, or "dir-" and a hash."""

    folder: Path
    revision: str


def resolve(source: str, revision: str | None = None) -> Resolved:
    """Find `source`, downloading it when it is a hub id that is not in the cache; a directory needs no network.

    `revision`: a commit, tag or branch of the hub; not allowed for a directory. Raises ModelError.
    """
    if is_path(source):
        if revision is not None:
            raise ModelError(f"{source}: a directory has no revision; remove `revision`, or name a hub model")
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise ModelError(f"{source}: no such directory; check the path, or name a hub model as 'owner/name'")
        _check(source, folder)
        return Resolved(folder, revision_of(folder))
    folder = _download(source, revision)
    _check(source, folder)
    commit = revision_of(folder)
    logger.info("%s: revision %s is commit %s", source, revision or "main", commit)
    return Resolved(folder, commit)


def is_path(source: str) -> bool:
    """Whether `source` means a directory and not a hub id ('name' or 'owner/name')."""
    return source.startswith((".", "~", os.sep)) or source.count(os.sep) > 1 or os.path.isdir(source)


def model_files(folder: Path) -> list[Path]:
    """The weights, config and tokenizer files in `folder`, sorted."""
    return sorted({path for pattern in PATTERNS for path in folder.glob(pattern)})


def revision_of(folder: Path) -> str:
    """The hub's commit for a folder in its cache, else "dir-" and a hash of weights, config and tokenizer files."""
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        return folder.name
    total = hashlib.sha256()
    for path in model_files(folder):
        with path.open("rb") as file:
            total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"dir-{total.hexdigest()[:_HASH_DIGITS]}"


def _check(source: str, folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{source}: no config.json; name the folder that `save_pretrained` wrote")
    if not any(folder.glob("*.safetensors")):
        pickled = "only pickled weights (*.bin)" if any(folder.glob("*.bin")) else "no weights"
        raise ModelError(
            f"{source}: {pickled}, and only *.safetensors are read, because reading a pickle can run code; convert "
            "them with `model.save_pretrained(folder)`, or take a revision that has safetensors"
        )


def _download(source: str, revision: str | None) -> Path:
    named = f"{source}, revision {revision}" if revision else source
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=PATTERNS))
    except GatedRepoError as error:
        raise ModelError(f"{named}: access is gated; accept the model's terms on the hub and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"{named}: not on the hub, or private; check the name, or set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{named}: the hub has no such revision; use a commit, tag or branch") from error
    except HFValidationError as error:
        raise ModelError(f"{source}: neither a directory nor a hub id such as 'owner/name'; check the name") from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{named}: the hub cannot be reached, and the model is not in the local cache; check network and proxy, "
            "or give a directory as source"
        ) from error
    except Exception as error:  # the HTTP client's errors, a full disk
        raise ModelError(f"{named}: the download failed: {one_line(error)}; try again later") from error
