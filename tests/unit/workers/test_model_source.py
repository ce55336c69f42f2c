"""A directory is told from a hub id."""

from pathlib import Path

import pytest

from labelstream.workers.model_source import is_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("./m", True),
        ("/m", True),
        ("~/m", True),
        ("../a/b", True),
        ("a/b/c", True),
        ("owner/name", False),
        ("n", False),
    ],
)
def test_is_path_tells_directories_from_hub_ids(text: str, path: bool) -> None:
    assert is_path(text) == path


def test_existing_directory_in_folder_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert is_path("owner/name", tmp_path)
    assert not is_path("owner/other", tmp_path)
