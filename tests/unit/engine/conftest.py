"""Models are built once per run, each family when a test first asks for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models import build


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """family -> the folder of its model with three labels. Read only: copy it before changing anything."""
    built: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in built:
            built[family] = build(tmp_path_factory.mktemp(family), family, labels=("a", "b", "c"))
        return built[family]

    return folder
