"""A model's sizes are read from its modules once, and then from a file that only this user may change."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from labelstream.workers.engine.modeling import shape
from labelstream.workers.engine.modeling.shape import ModelShape, kept_shape, shape_of

Folders = Callable[[str], Path]


class Builder:
    """Counts how often a model of `family` is built."""

    def __init__(self, folder: Path) -> None:
        self.calls, self._folder = 0, folder

    def __call__(self) -> Any:
        self.calls += 1
        return transformers.AutoModelForSequenceClassification.from_pretrained(self._folder)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cached shapes."""
    monkeypatch.setattr(shape, "cached_assets_path", lambda *_, **__: tmp_path)
    return tmp_path


@pytest.fixture
def bert(model_folder: Folders) -> Builder:
    return Builder(model_folder("bert"))


def test_roberta_counts_positions_behind_its_padding_id(model_folder: Folders) -> None:
    config = transformers.AutoConfig.from_pretrained(model_folder("roberta"))
    expected = config.max_position_embeddings - config.pad_token_id - 1
    assert shape_of(Builder(model_folder("roberta"))()) == ModelShape(config.vocab_size, expected)


def test_kept_shape_builds_the_model_once(bert: Builder) -> None:
    first = kept_shape("a/model", "r1", "text-classification", bert)
    assert kept_shape("a/model", "r1", "text-classification", bert) == first
    assert bert.calls == 1


@pytest.mark.parametrize("other", [("b", "r1", "t"), ("a", "r2", "t"), ("a", "r1", "u")])
def test_kept_shape_builds_another_model_revision_or_task(bert: Builder, other: tuple[str, str, str]) -> None:
    kept_shape("a", "r1", "t", bert)
    kept_shape(*other, bert)
    assert bert.calls == 2


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_kept_shape_builds_again_for_other_versions(
    bert: Builder, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    kept_shape("a", "r1", "t", bert)
    version = shape.importlib.metadata.version
    monkeypatch.setattr(shape.importlib.metadata, "version", lambda name: "0" if name == package else version(name))
    kept_shape("a", "r1", "t", bert)
    assert bert.calls == 2


@pytest.mark.parametrize(
    "content", ["", "{", "7", "[]", "[7]", "[7, null, 1]", '["7", null]', "[true, null]", '[7, "x"]', "[null, 7]"]
)
def test_damaged_shape_file_is_written_again(bert: Builder, kept: Path, content: str) -> None:
    first = kept_shape("a", "r1", "t", bert)
    (file,) = kept.iterdir()
    file.write_text(content)
    assert kept_shape("a", "r1", "t", bert) == first
    assert bert.calls == 2
    assert json.loads(file.read_text()) == list(first)


def test_shape_without_position_limit_is_cached(bert: Builder, kept: Path) -> None:
    kept_shape("a", "r1", "t", bert)
    (file,) = kept.iterdir()
    file.write_text("[7, null]")
    assert kept_shape("a", "r1", "t", bert) == ModelShape(7, None)


def test_world_writable_shape_file_is_ignored(bert: Builder, kept: Path) -> None:
    kept_shape("a", "r1", "t", bert)
    (file,) = kept.iterdir()
    file.write_text("[7, 7]")
    file.chmod(0o666)
    assert kept_shape("a", "r1", "t", bert) != ModelShape(7, 7)


def test_shape_file_that_is_a_link_is_ignored(bert: Builder, kept: Path) -> None:
    kept_shape("a", "r1", "t", bert)
    (file,) = kept.iterdir()
    file.rename(kept / "elsewhere")
    file.symlink_to(kept / "elsewhere")
    (kept / "elsewhere").write_text("[7, 7]")
    assert kept_shape("a", "r1", "t", bert) != ModelShape(7, 7)


@pytest.mark.parametrize("error", [OSError("read-only"), ValueError("too long")])
def test_kept_shape_works_without_a_cache_folder(
    bert: Builder, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuses(*_: Any, **__: Any) -> Path:
        raise error

    monkeypatch.setattr(shape, "cached_assets_path", refuses)
    assert kept_shape("a", "r1", "t", bert) == shape_of(bert())


def test_kept_shape_works_with_an_unwritable_folder(
    bert: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shape, "cached_assets_path", lambda *_, **__: tmp_path / "missing")
    assert kept_shape("a", "r1", "t", bert) == shape_of(bert())
