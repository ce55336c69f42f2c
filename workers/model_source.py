"""Tells a model's directory from its hub id. Imports no other module of Labelstream: settings and engine use it."""

import os
from pathlib import Path


def is_path(source: str, folder: Path = Path()) -> bool:
    """Whether `source` is a directory, relative to `folder`, and not a hub id (`name` or `owner/name`)."""
    return source.startswith((".", "~", os.sep)) or source.count(os.sep) > 1 or (folder / source).is_dir()
