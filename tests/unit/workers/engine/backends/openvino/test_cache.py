"""Converted models: written atomically, read only from a trusted user, evicted by size."""

import os
from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.engine.backends.openvino import cache


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def path(library: str, namespace: str = "default", subfolder: str = "default") -> Path:
        folder = tmp_path / library / namespace / subfolder.replace("/", "--")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    monkeypatch.setattr(cache, "cached_assets_path", path)
    return tmp_path


def put(model: str, size: int = 10, **depends_on: Any) -> Path:
    place = cache.place_of(model, **depends_on)
    assert place is not None

    def write(path: Path) -> None:
        path.write_bytes(b"x" * (size - 1))
        path.with_suffix(".bin").write_bytes(b"y")

    assert cache.put(place, write, {"n": 1}) is not None
    return place


def test_find_returns_what_was_put() -> None:
    found = cache.find(put("owner/name", revision="r"))
    assert found is not None
    assert found.notes == {"n": 1}
    assert cache.find(put("owner/name", revision="other").with_name("0")) is None


def test_find_ignores_world_writable_entries(caplog: pytest.LogCaptureFixture) -> None:
    place = put("owner/name")
    place.chmod(0o777)
    assert cache.find(place) is None
    assert "another user owns the folder" in caplog.text


def test_find_ignores_entries_of_other_users(monkeypatch: pytest.MonkeyPatch) -> None:
    place = put("owner/name")
    os.chown(place, 65534, 65534) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert cache.find(place) is None


def test_find_follows_no_link() -> None:
    place = put("owner/name")
    link = place.with_name("link")
    link.symlink_to(place)
    assert cache.find(link) is None


def test_put_makes_a_folder_of_its_owner() -> None:
    assert put("owner/name").stat().st_mode & 0o777 == 0o700


def test_entries_lists_all_models(root: Path) -> None:
    put("b/model", 20)
    put("a/model", 30, revision="one")
    put("a/model", 40, revision="two")
    (root / "labelstream" / "openvino" / "a--model" / ".half-made").mkdir()
    found = cache.entries()
    assert [entry.model for entry in found] == ["a--model", "a--model", "b--model"]
    assert sorted(entry.size - (entry.folder / "notes.json").stat().st_size for entry in found) == [20, 30, 40]


def test_remove_leaves_nothing() -> None:
    place = put("owner/name")
    cache.remove(cache.entries()[0])
    assert cache.entries() == []
    assert list(place.parent.iterdir()) == []


def test_put_evicts_the_least_recently_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 2_500)
    old, used = put("old", 1_000), put("used", 1_000)
    for place, age in ((old, 1_000), (used, 2_000)):
        os.utime(place / "notes.json", (age, age))
    cache.find(used)
    put("new", 1_000)
    assert [entry.model for entry in cache.entries()] == ["new", "used"]


def test_put_keeps_an_entry_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 100)
    put("small", 50)
    put("large", 5_000)
    assert [entry.model for entry in cache.entries()] == ["large"]
