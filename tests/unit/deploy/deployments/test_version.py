"""What makes replicas start anew, and what does not."""

import os
from pathlib import Path

import pytest

from labelstream.deploy.deployments import version
from labelstream.deploy.deployments.version import file_of, files_of, version_of


class One:
    pass


class Two:
    pass


def test_version_follows_kind_and_arguments_alone() -> None:
    first = version_of(One, {"a": 1, "b": [2]}, Path("x"))
    assert first == version_of(One, {"b": [2], "a": 1}, Path("x"))
    others = {version_of(Two, {"a": 1, "b": [2]}, Path("x")), version_of(One, {"a": 2, "b": [2]}, Path("x"))}
    assert len(others | {first, version_of(One)}) == 4
    assert len(first) == 16


def test_version_follows_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = version_of(One)
    monkeypatch.setattr(version, "_code", lambda: "changed")
    assert version_of(One) != before


def test_code_is_that_of_this_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "deploy" / "deployments" / "version.py"
    module.parent.mkdir(parents=True)
    module.write_text("a")
    monkeypatch.setattr(version, "__file__", str(module))

    def code() -> str:
        version._code.cache_clear()
        return version._code()

    try:
        first = code()
        (tmp_path / "deploy" / "notes.txt").write_text("no code")
        assert code() == first
        (tmp_path / "workers").mkdir()
        (tmp_path / "workers" / "new.py").write_text("")
        second = code()
        module.write_text("b")
        assert len({first, second, code()}) == 3
    finally:
        version._code.cache_clear()


def test_changed_file_of_a_model_is_another_version(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    before = files_of(str(tmp_path))
    assert [row[0] for row in before] == sorted(row[0] for row in before)
    os.utime(tmp_path / "config.json", ns=(1, 1))
    assert files_of(str(tmp_path)) != before
    assert files_of("owner/model") == []


def test_missing_file_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    assert file_of(None) == file_of(path) == []
    path.write_text("abc")
    assert file_of(path) == [3, path.stat().st_mtime_ns]
