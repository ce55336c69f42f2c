"""Untrusted model files are inspected within limits of time and memory."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.engine.inspection import inspect_files
from labelstream.workers.engine.inspection.child_process import inspect_in_child
from labelstream.workers.engine.loading import loader
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError

DEMO_MODEL = Path(__file__).parents[5] / "deploy" / "demo" / "model"
Change = Callable[..., Path]


@pytest.fixture
def changed(tmp_path: Path) -> Change:
    """The demo's model with another config, or with another tokenizer."""

    def change(tokenizer: Callable[[Any], None] | None = None, **config: Any) -> Path:
        for name in ("config.json", "tokenizer.json"):
            shutil.copy(DEMO_MODEL / name, tmp_path)
        for name, edit in (("config.json", lambda tree: tree.update(config)), ("tokenizer.json", tokenizer)):
            if edit is not None:
                tree = json.loads((tmp_path / name).read_bytes())
                edit(tree)
                (tmp_path / name).write_text(json.dumps(tree))
        return tmp_path

    return change


def test_ordinary_files_pass(changed: Change) -> None:
    inspect_in_child("m", changed(attn_implementation="flash_attention_2", quantization_config=None))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"attn_implementation": "evil/kernel"}, "code of the hub (attn_implementation)"),
        ({"_attn_implementation": {"": "evil/kernel:f"}}, "code of the hub (_attn_implementation)"),
        ({"_attn_implementation": "a/b", "attn_implementation": "a/b"}, "(attn_implementation, _attn_implementation)"),
        ({"text_config": {"_attn_implementation_internal": "a/b"}}, "code of the hub"),
        ({"quantization_config": {"quant_method": "torchao"}}, "quantized weights (quantization_config)"),
        ({"num_labels": 10_000_000, "id2label": None}, "10000000 labels, more than 100000"),
        ({"id2label": {str(i): "x" for i in range(100_001)}}, "100001 labels"),
        ({"n_layers": 100_000}, "100000 layers, more than 10000; correct n_layers"),
    ],
    ids=["kernel", "of a part", "two at once", "within", "quantized", "num_labels", "id2label", "layers"],
)
def test_config_with_a_forbidden_key_is_refused(changed: Change, config: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError) as refused:
        inspect_in_child("owner/m", changed(**config))
    assert str(refused.value).startswith("owner/m: its config.json ")
    assert words in str(refused.value)


def replacing(content: str) -> Callable[[Any], None]:
    def edit(tree: Any) -> None:
        step = {"type": "Replace", "pattern": {"String": "q"}, "content": content}
        tree["normalizer"] = {"type": "Sequence", "normalizers": [step, tree["normalizer"]]}

    return edit


def splitting(expression: str) -> Callable[[Any], None]:
    def edit(tree: Any) -> None:
        tree["pre_tokenizer"] = {
            "type": "Split",
            "pattern": {"Regex": expression},
            "behavior": "Isolated",
            "invert": False,
        }

    return edit


def test_normalizer_that_grows_texts_is_refused(changed: Change) -> None:
    with pytest.raises(ModelError, match=r"its normalizer turns 95 characters into \d+; correct tokenizer.json"):
        inspect_in_child("m", changed(replacing("x " * 5_000)))


def test_normalizer_beyond_memory_is_refused(changed: Change) -> None:
    with pytest.raises(ModelError, match=r"its (tokenizer|normalizer).* (turns|crashes, or takes more than 4 GiB)"):
        inspect_in_child("m", changed(replacing("x" * (20 << 20))))


@pytest.mark.parametrize("expression", ["^(([a-z])+.)+[A-Z]([a-z])+$", "(a+)+[0-9]"])
def test_backtracking_expression_is_refused(changed: Change, expression: str) -> None:
    with pytest.raises(ModelError, match=r"its tokenizer, reading .* (takes more than|crashes)"):
        inspect_in_child("m", changed(splitting(expression)), timeout_s=20)


def test_slow_inspection_names_its_last_step(changed: Change) -> None:
    with pytest.raises(ModelError, match=r"takes more than 0\.001 s"):
        inspect_in_child("m", changed(), timeout_s=0.001)


def test_files_without_json_are_refused(changed: Change) -> None:
    folder = changed()
    (folder / "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match=r"m: tokenizer\.json is not JSON"):
        inspect_in_child("m", folder)
    (folder / "config.json").write_bytes(b" " * (17 << 20))
    with pytest.raises(ModelError, match=r"config\.json has 17 MiB, more than 16"):
        inspect_in_child("m", folder)


def test_load_inspects_files_first(changed: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "inspect_in_child", inspect_in_child)
    folder = changed(num_labels=10_000_000)
    shutil.copy(DEMO_MODEL / "model.safetensors", folder)
    with pytest.raises(ModelError, match="10000000 labels"):
        loader.load(str(folder), ModelOptions())


def test_inspecting_imports_neither_torch_nor_transformers() -> None:
    code = f"import sys, {inspect_files.__name__}; print({{'torch', 'transformers'}} & {{*sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_folder_without_a_vocabulary_is_refused(changed: Change) -> None:
    folder = changed()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        inspect_in_child("m", folder)
    (folder / "vocab.txt").write_text("[UNK]\n")
    inspect_in_child("m", folder)
