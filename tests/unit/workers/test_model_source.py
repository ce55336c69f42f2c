"""A directory is told from a model of the hub."""

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
def test_a_path_is_told_from_a_hub_id(text: str, path: bool) -> None:
    assert is_path(text) == path


def test_directory_of_a_folder_is_a_path_there(tmp_path: Path) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert is_path("owner/name", tmp_path)
    assert not is_path("owner/other", tmp_path)
