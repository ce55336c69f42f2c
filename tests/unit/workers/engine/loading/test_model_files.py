"""Incomplete model folders: the error names what is missing and the fix."""

import json
import shutil
from pathlib import Path

import pytest
import transformers

from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from tests.support.refused import refusal


def test_pickled_weights_are_never_read(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    assert "only pickled weights" in refusal(copied)
    (copied / "pytorch_model.bin").unlink()
    assert "no weights" in refusal(copied)


def test_incomplete_folder_is_refused(copied: Path, tmp_path: Path) -> None:
    assert "no such directory" in refusal(tmp_path / "missing")
    assert "no such directory" in refusal("./missing")
    assert "a directory has no revision" in refusal(copied, revision="main")
    (tmp_path / "empty").mkdir()
    assert "no config.json" in refusal(tmp_path / "empty")
    weights = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(weights[:100])
    assert "cannot be loaded" in refusal(copied)
    (copied / "config.json").write_text("{")
    assert "not JSON" in refusal(copied)


def test_adapter_error_says_how_to_merge(tmp_path: Path, copied: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "acme/base"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    assert "an adapter (adapter_config.json) of acme/base" in refusal(tmp_path)
    shutil.copy(copied / "config.json", tmp_path)
    assert "merge_and_unload().save_pretrained(merged)" in refusal(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[]")
    assert "of another model" in refusal(tmp_path)


@pytest.mark.parametrize("old", [True, False])
def test_model_in_a_subfolder_is_named(tmp_path: Path, copied: Path, old: bool) -> None:
    shutil.copytree(copied, tmp_path / "repository" / "0_Transformer")
    if old:
        (tmp_path / "repository" / "modules.json").write_text("[]")
    message = refusal(tmp_path / "repository", task="feature-extraction")
    assert f"name {tmp_path / 'repository' / '0_Transformer'} as source" in message
    assert ("set pooling to what 1_Pooling/config.json says" in message) is old
    shutil.copytree(copied, tmp_path / "repository" / "1_Transformer")
    assert "(one of 0_Transformer, 1_Transformer)" in refusal(tmp_path / "repository")


def test_git_lfs_pointer_is_named(copied: Path) -> None:
    (copied / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "model.safetensors is a Git LFS pointer" in refusal(copied)


def test_missing_part_of_the_weights_is_named(copied: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(copied)
    (copied / "model.safetensors").unlink()
    model.save_pretrained(copied, max_shard_size="30KB")
    assert load(str(copied), ModelOptions(device="cpu"))[0].labels == ("a", "b", "c")
    index = copied / "model.safetensors.index.json"
    listed = index.read_bytes()
    index.write_text("[]")
    assert "does not map weights to files" in refusal(copied)
    index.unlink()
    assert f"and {index.name} is missing, which maps weights to files" in refusal(copied)
    index.write_bytes(listed)
    first = min(copied.glob("model-*.safetensors"))
    first.unlink()
    assert f"{first.name}, a part of the weights, is missing" in refusal(copied)


def test_weights_under_another_name_are_named(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "model.fp16.safetensors")
    assert "there is model.fp16.safetensors, and no model.safetensors" in refusal(copied)
