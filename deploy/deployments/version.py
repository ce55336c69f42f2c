"""The version of a deployment: a new deployment over a running one restarts replicas whose version has changed."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from labelstream.workers.engine.loading.model_files import model_files
from labelstream.workers.model_source import is_path

_PACKAGES = ("deploy", "schemas", "workers")


def version_of(kind: type, *arguments: Any) -> str:
    """A hash of `kind`, its `arguments` (plain data) and the code of this installation."""
    parts = [f"{kind.__module__}.{kind.__qualname__}", _code(), *arguments]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def files_of(source: str) -> list[list[Any]]:
    """Names, sizes and times of a model's files if `source` is a directory of this machine; else empty."""
    if not is_path(source):
        return []
    paths = model_files(Path(source).expanduser())
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths]


def file_of(path: Path | None) -> list[Any]:
    """Size and time of a file if it exists on this machine; else empty."""
    if path is None or not path.is_file():
        return []
    return [path.stat().st_size, path.stat().st_mtime_ns]


@cache
def _code() -> str:
    root, total = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()
