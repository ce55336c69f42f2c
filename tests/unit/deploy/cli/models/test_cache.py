"""`labelstream cache` on a cache of the hub's own layout, and on converted models."""

import shlex
from pathlib import Path

import huggingface_hub.constants
import pytest

from labelstream.deploy.cli.main import main
from labelstream.workers.engine.backends.openvino import cache as converted

COMMIT = "714eb0fa89d2f80546fda750413ed43d93601a13"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return tmp_path


def fetched(home: Path, model: str) -> None:
    folder = home / "hub" / f"models--{model.replace('/', '--')}"
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "1").write_bytes(b"x" * (3 << 20))
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "snapshots" / COMMIT / "model.safetensors").symlink_to("../../blobs/1")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)


def made_from(model: str, **notes: str) -> None:
    place = converted.place_of(model)
    assert place is not None

    def write(path: Path) -> None:
        path.write_bytes(b"x" * (1 << 20))
        path.with_suffix(".bin").write_bytes(b"x")

    assert converted.put(place, write, notes) is not None


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["cache", *arguments])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_list_prints_hub_and_converted_models(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "list")[2] == "the cache is empty\n"
    fetched(home, "owner/name")
    made_from("owner/name")
    code, rows, err = call(capsys, "list")
    assert (code, err) == (0, "4.0 MiB in all\n")
    assert [row.split() for row in rows.splitlines()[1:]] == [
        ["1.0", "today", "converted", "owner--name"],
        ["3.0", "today", COMMIT[:12], "owner/name"],
    ]


def test_listed_directory_can_be_pasted_into_clear(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("my model", "other"):
        made_from(str(home / name), source=str(home / name))
    made_from("/old/entry")
    _, *rows = call(capsys, "list")[1].splitlines()
    old, mine, other = [shlex.split(row)[3] for row in rows]
    assert (old, mine, other) == ("--old--entry", str(home / "my model"), str(home / "other"))
    assert call(capsys, "clear", mine, "/old/entry", "--yes")[0] == 0
    assert [entry.model for entry in converted.entries()] == [other]


def test_clear_without_model_deletes_converted_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetched(home, "owner/name")
    made_from("owner/name")
    assert call(capsys, "clear")[0] == 2  # no terminal to ask on
    assert call(capsys, "clear", "--yes")[0] == 0
    assert converted.entries() == []
    assert call(capsys, "clear", "--yes")[2] == "nothing to delete\n"
    assert (home / "hub" / "models--owner--name" / "blobs" / "1").exists()


def test_clear_of_model_deletes_all_of_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("owner/name", "owner/other"):
        fetched(home, model)
        made_from(model)
    assert call(capsys, "clear", "owner/name", "--yes")[0] == 0
    rows = call(capsys, "list")[1]
    assert "other" in rows
    assert "name" not in rows
    assert not (home / "hub" / "models--owner--name").exists()


def test_clear_of_unknown_model_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "clear", "owner/none", "--yes")
    assert code == 2
    assert "'owner/none' is not in the cache; see `labelstream cache list`" in err
