"""The folder and revision of a source, requests to the hub, and incomplete caches."""

import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import errors, try_to_load_from_cache

from labelstream.workers.engine.loading import hub
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from tests.support.models import edit_config
from tests.support.refused import refusal

Folders = Callable[[str], Path]


@pytest.fixture(autouse=True)
def silent_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the hub does not list a model's files."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError("no network")

    monkeypatch.setattr(hub.HfApi, "model_info", fail)


def listed(monkeypatch: pytest.MonkeyPatch, **sizes: int) -> dict[str, Any]:
    """Have the hub list files of these sizes (`_`: a dot, `__`: a slash). Returns the requested file patterns."""
    asked: dict[str, Any] = {}
    files = [
        SimpleNamespace(rfilename=name.replace("__", "/").replace("_", "."), size=size) for name, size in sizes.items()
    ]
    monkeypatch.setattr(hub.HfApi, "model_info", lambda *args, **kwargs: SimpleNamespace(sha="0" * 40, siblings=files))

    def download(source: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked["names"] = allow_patterns
        raise OSError("enough")

    monkeypatch.setattr(hub, "snapshot_download", download)
    return asked


def test_only_model_files_are_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = listed(
        monkeypatch,
        config_json=1,
        model_safetensors=1,
        onnx__model_safetensors=1,
        README_md=1,
        model_bin=1,
        vocab_txt=1,
    )
    assert "enough" in refusal("owner/name")
    assert asked["names"] == ["config.json", "model.safetensors", "vocab.txt"]


def test_download_larger_than_the_disk_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = listed(monkeypatch, config_json=1, model_safetensors=1 << 50)
    assert "owner/name: the download takes 1048576.0 GiB, and " in refusal("owner/name")
    assert asked == {}


def test_directory_revision_follows_its_content(copied: Path) -> None:
    before = hub.revision_of(copied)
    assert before.startswith("dir-")
    (copied / "notes.md").write_text("not part of the model")
    assert hub.revision_of(copied) == before
    edit_config(copied, id2label={"0": "x", "1": "b", "2": "c"})
    assert hub.revision_of(copied) != before


def test_hub_cache_folder_has_its_commit_as_revision(tmp_path: Path) -> None:
    folder = tmp_path / "models--o--n" / "snapshots" / ("0123456789" * 4)
    folder.mkdir(parents=True)
    assert hub.revision_of(folder) == "0123456789" * 4


def answered(kind: Any) -> Exception:
    return kind("said the hub\nat length", response=SimpleNamespace(headers={}, request=None))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (answered(errors.GatedRepoError), "set HF_TOKEN"),
        (answered(errors.RepositoryNotFoundError), "not on the hub, or private"),
        (answered(errors.RevisionNotFoundError), "no such revision"),
        (answered(errors.HfHubHTTPError), "the download failed: HfHubHTTPError: said the hub;"),
        (errors.LocalEntryNotFoundError("x"), "cannot be reached"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (errors.HFValidationError("x"), "neither a directory nor a hub id"),
    ],
)
def test_hub_errors_are_explained(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def fail(*args: Any, **kwargs: Any) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", fail)
    assert message in refusal("owner/name", revision="v1")


def test_only_safe_files_are_requested_from_the_hub(
    monkeypatch: pytest.MonkeyPatch, model_folder: Folders, tmp_path: Path
) -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        snapshot = tmp_path / "models--owner--name" / "snapshots" / commit
        return os.fspath(shutil.copytree(model_folder("bert"), snapshot))

    monkeypatch.setattr(hub, "snapshot_download", download)
    description, _ = load("owner/name", ModelOptions(revision="v1", device="cpu"))
    assert (asked["name"], asked["revision"]) == ("owner/name", "v1")
    assert asked["allow_patterns"] == ["*.json", "*.txt", "*.model", "*.safetensors"]
    assert (description.source, description.revision) == ("owner/name", commit)


def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path, names: Sequence[str]) -> Path:
    """Put `names` of `folder` into the cache and take the hub offline. Returns the snapshot's folder."""
    commit = "0123456789" * 4
    snapshot = tmp_path / "cache" / "models--acme--sentiment" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for name in names:
        shutil.copy(folder / name, snapshot)
    refs = tmp_path / "cache" / "models--acme--sentiment" / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)

    def unreached(*args: Any, **kwargs: Any) -> str:
        raise errors.LocalEntryNotFoundError("x")

    monkeypatch.setattr(hub, "snapshot_download", unreached)
    monkeypatch.setattr(hub, "try_to_load_from_cache", partial(try_to_load_from_cache, cache_dir=tmp_path / "cache"))
    return snapshot


NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("revision", [None, "0123456789" * 4])
def test_complete_cache_is_served_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copied: Path, revision: str | None
) -> None:
    cached(monkeypatch, tmp_path, copied, NEEDED)
    description, _ = load("acme/sentiment", ModelOptions(device="cpu", revision=revision))
    assert (description.labels, description.revision) == (("a", "b", "c"), "0123456789" * 4)


def test_cache_without_weights_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copied: Path) -> None:
    snapshot = cached(monkeypatch, tmp_path, copied, ("config.json", "tokenizer.json", "tokenizer_config.json"))
    message = refusal("acme/sentiment")
    assert "the hub cannot be reached, and the local cache has only a part of the model: the" in message
    assert "`labelstream fetch acme/sentiment`" in message
    (snapshot / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    assert "model: model-00001-of-00002.safetensors, a part of the weights, is missing" in refusal("acme/sentiment")


def test_cache_without_a_tokenizer_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copied: Path) -> None:
    cached(monkeypatch, tmp_path, copied, ("config.json", "model.safetensors"))
    assert "no tokenizer" in refusal("acme/sentiment") or "tokenizer cannot be loaded" in refusal("acme/sentiment")


def test_cache_without_the_model_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copied: Path) -> None:
    cached(monkeypatch, tmp_path, copied, NEEDED)
    assert "the local cache does not have the model" in refusal("acme/other")
    assert "the local cache does not have the model" in refusal("acme/sentiment", revision="v2")
