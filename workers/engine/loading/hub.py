"""Finds a model's source, a directory or a hub id, as a folder on this machine, and names its revision."""

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
constants.HF_HUB_DISABLE_TELEMETRY = True  # requests to the hub carry no usage data


class Resolved(NamedTuple):
    """`folder`: has config.json and *.safetensors. `revision`: the hub's commit, or "dir-" and a hash."""

    folder: Path
    revision: str


def resolve(source: str, revision: str | None = None) -> Resolved:
    """Find `source` as `locate` does, and its revision. Reads all files of a directory to hash them."""
    folder = locate(source, revision)
    found = revision_of(folder)
    if not is_path(source):
        logger.info("%s: revision %s is commit %s", source, revision or "main", found)
    return Resolved(folder, found)


def locate(source: str, revision: str | None = None) -> Path:
    """The folder of `source`. Downloads a hub id that is not in the cache; a directory needs no network.

    `revision`: a commit, tag or branch of the hub; not for a directory. Raises ModelError.
    """
    if is_path(source):
        if revision is not None:
            raise ModelError(f"{source}: a directory has no revision; remove revision, or name a hub id as source")
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise ModelError(
                f"{folder.absolute()}: no such directory; check the path, or name a hub id such as 'owner/name'"
            )
    else:
        folder = _download(source, revision)
    check_files(source, folder)
    return folder


def revision_of(folder: Path) -> str:
    """The commit of a folder in the hub's cache; else "dir-" and a hash of weights, config and tokenizer files."""
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
        raise ModelError(f"{named}: the hub has no such revision; name a commit, tag or branch") from error
    except HFValidationError as error:
        raise ModelError(f"{source}: neither a directory nor a hub id such as 'owner/name'; check the name") from error
    except LocalEntryNotFoundError as error:
        return _cached(source, revision, named, error)
    except Exception as error:  # errors of the HTTP client, a full disk
        raise ModelError(f"{named}: the download failed: {one_line(error)}; try again later") from error


def _wanted_of(source: str, revision: str | None) -> list[str]:
    """The model's files on the hub; PATTERNS if the hub lists none. Raises ModelError if the disk has no room."""
    if constants.HF_HUB_OFFLINE:
        return PATTERNS
    try:
        found = HfApi().model_info(source, revision=revision, files_metadata=True)
    except Exception:  # the download raises the cause
        return PATTERNS
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or () if belongs_to_model(file.rfilename)}
    missing = [name for name in sizes if not isinstance(try_to_load_from_cache(source, name, revision=found.sha), str)]
    needed, free = sum(sizes[name] for name in missing), _free_bytes(Path(constants.HF_HUB_CACHE))
    if missing and needed + _SPARE_BYTES > free:
        raise ModelError(
            f"{source}: the download takes {needed / 2**30:.1f} GiB, and {constants.HF_HUB_CACHE} has "
            f"{free / 2**30:.1f} GiB free; set HF_HOME to a larger disk, or free space with `labelstream cache`"
        )
    return sorted(sizes) or PATTERNS


def _free_bytes(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def _cached(source: str, revision: str | None, named: str, error: Exception) -> Path:
    """The cached folder, even if it lacks files that `_download` asks for. Raises ModelError without weights."""
    unreached = f"{named}: the hub cannot be reached, and"
    found = try_to_load_from_cache(source, "config.json", revision=revision)
    if not isinstance(found, str):
        raise ModelError(
            f"{unreached} the local cache does not have the model; check network and proxy, or name a directory"
        ) from error
    folder = Path(found).parent
    if problem := missing_weights(folder):
        lacking = problem.partition(";")[0] if any(folder.glob("*.safetensors*")) else "the weights are missing"
        raise ModelError(
            f"{unreached} the local cache has only a part of the model: {lacking}; run "
            f"`labelstream fetch {source}` where the hub can be reached"
        ) from error
    return folder
