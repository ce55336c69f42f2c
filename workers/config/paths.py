"""Relative paths in a config file are relative to the file's folder, not to the working directory."""

import os
from pathlib import Path
from typing import Any, get_args

from labelstream.workers.config.keys import NAME, known_key, known_keys
from labelstream.workers.model_source import is_path

_SOURCE = ("models", NAME, "source")
_FILES = {key for key, field in known_keys().items() if Path in get_args(field.annotation)}


def with_absolute_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`tree`, read from a file in `folder`, with absolute paths. ~ becomes the home directory."""
    return _walk(tree, (), folder)


def _walk(value: Any, place: tuple[str, ...], folder: Path) -> Any:
    if isinstance(value, dict):
        return {name: _walk(inner, (*place, str(name)), folder) for name, inner in value.items()}
    key = known_key(place)
    if not isinstance(value, str) or not value or len(key) < len(place):
        return value
    if key == _SOURCE:
        return _source(value, folder)
    return os.path.abspath(folder / os.path.expanduser(value)) if key in _FILES else value


def _source(source: str, folder: Path) -> str:
    """A model's source. A hub id ('name' or 'owner/name') stays as it is, unless `folder` has a directory of that name.

    ~ stays as well: a replica's machine may have another home directory.
    """
    return os.path.abspath(folder / source) if is_path(source, folder) and not source.startswith("~") else source
