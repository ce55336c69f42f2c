"""Where a model comes from: a directory or the hub -> a folder on this machine, and the name of its revision."""

import hashlib
import logging
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.loading.model_files import (
    PATTERNS,
    belongs_to_model,
    check_files,
    missing_weights,
    model_files,
)
from labelstream.workers.errors import ModelError
from labelstream.workers.model_source import is_path

logger = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH_DIGITS = 16
_SPARE_BYTES = 1 << 30
constants.HF_HUB_DISABLE_TELEMETRY = True  # the hub learns what it is asked for, and no more


class Resolved(NamedTuple):
    """`folder`: holds config.json and *.safetensors. `revision`: the hub's commit, or "dir-" and a hash."""

    folder: Path
    revision: str


def resolve(source: str, revision: str | None = None) -> Resolved:
    """Find `source`, as `locate` does, and name its revision; of a directory all files are read for that."""
    folder = locate(source, revision)
    found = revision_of(folder)
    if not is_path(source):
        logger.info("%s: revision %s is commit %s", source, revision or "main", found)
    return Resolved(folder, found)


def locate(source: str, revision: str | None = None) -> Path:
    """The folder of `source`, downloaded when it is a hub id that is not in the cache; a directory needs no network.

    `revision`: a commit, tag or branch of the hub; not allowed for a directory. Raises ModelError.
    """
    if is_path(source):
        if revision is not None:
            raise ModelError(f"{source}: a directory has no revision; remove `revision`, or name a hub model")
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise ModelError(
                f"{folder.absolute()}: no such directory; check the path, or name a hub model as 'owner/name'"
            )
    else:
        folder = _download(source, revision)
    check_files(source, folder)
    return folder


def revision_of(folder: Path) -> str:
    """The hub's commit for a folder in its cache, else "dir-" and a hash of weights, config and tokenizer files."""
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        return folder.name
    total = hashlib.sha256()
    for path in model_files(folder):
        with path.open("rb") as file:
            total.update(f"{path.relative_to(folder)}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"dir-{total.hexdigest()[:_HASH_DIGITS]}"


def _download(source: str, revision: str | None) -> Path:
    named = f"{source}, revision {revision}" if revision else source
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=_wanted_of(source, revision)))
    except ModelError:
        raise
    except GatedRepoError as error:
        raise ModelError(f"{named}: access is gated; accept the model's terms on the hub and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"{named}: not on the hub, or private; check the name, or set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{named}: the hub has no such revision; use a commit, tag or branch") from error
    except HFValidationError as error:
        raise ModelError(f"{source}: neither a directory nor a hub id such as 'owner/name'; check the name") from error
    except LocalEntryNotFoundError as error:
        return _cached(source, revision, named, error)
    except Exception as error:  # the HTTP client's errors, a full disk
        raise ModelError(f"{named}: the download failed: {one_line(error)}; try again later") from error


def _wanted_of(source: str, revision: str | None) -> list[str]:
    """The names of the model's files, where the hub says them. Raises ModelError where there is no room for them."""
    if constants.HF_HUB_OFFLINE:
        return PATTERNS
    try:
        found = HfApi().model_info(source, revision=revision, files_metadata=True)
    except Exception:  # the download says why
        return PATTERNS
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or () if belongs_to_model(file.rfilename)}
    missing = [name for name in sizes if not isinstance(try_to_load_from_cache(source, name, revision=found.sha), str)]
    needed, free = sum(sizes[name] for name in missing), _free_bytes(Path(constants.HF_HUB_CACHE))
    if missing and needed + _SPARE_BYTES > free:
        raise ModelError(
            f"{source}: there are {needed / 2**30:.1f} GiB to download, and {free / 2**30:.1f} free in "
            f"{constants.HF_HUB_CACHE}; set HF_HOME to a folder with more, or see `labelstream cache`"
        )
    return sorted(sizes) or PATTERNS


def _free_bytes(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def _cached(source: str, revision: str | None, named: str, error: Exception) -> Path:
    """What others have put into the cache, were it fewer files than we ask the hub for. Raises ModelError."""
    unreached = f"{named}: the hub cannot be reached, and"
    found = try_to_load_from_cache(source, "config.json", revision=revision)
    if not isinstance(found, str):
        raise ModelError(
            f"{unreached} the model is not in the local cache; check network and proxy, or give a directory as source"
        ) from error
    folder = Path(found).parent
    if problem := missing_weights(folder):
        lacking = problem.partition(";")[0] if any(folder.glob("*.safetensors*")) else "it holds no weights"
        raise ModelError(
            f"{unreached} the local cache has a part of the model alone: {lacking}; run "
            f"`labelstream fetch {source}` where the hub can be reached"
        ) from error
    return folder
