"""What a model's source in a config or a call means. No imports of ours: settings and engine both ask."""

import os
from pathlib import Path


def is_path(source: str, folder: Path = Path()) -> bool:
    """Whether `source` means a directory and not a hub id (`name` or `owner/name`). Relative ones are of `folder`."""
    return source.startswith((".", "~", os.sep)) or source.count(os.sep) > 1 or (folder / source).is_dir()
