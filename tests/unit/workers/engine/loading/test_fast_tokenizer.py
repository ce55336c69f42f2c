"""The tokenizers that are served, and those that are refused."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from labelstream.workers.classifier import Request
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError
from tests.support.models import TEXTS, build, edit_config
from tests.support.parity import assert_equal, oracle
from tests.support.refused import refusal


def test_folder_without_a_tokenizer_is_refused(copied: Path) -> None:
    (copied / "tokenizer.json").unlink()
    assert "no tokenizer (tokenizer.json, vocab.txt)" in refusal(copied)
    (copied / "tokenizer_config.json").unlink()
    assert "no tokenizer" in refusal(copied)
    (copied / "tokenizer.json").write_text("{}")
    assert "the tokenizer cannot be loaded" in refusal(copied)


_DEBERTA = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
_ALBERT = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "user_defined_symbols": ["[CLS]", "[SEP]", "[MASK]"]}


@pytest.mark.parametrize(
    ("family", "name", "specials"),
    [
        ("xlm-roberta", "sentencepiece.bpe.model", {}),
        ("deberta-v2", "spm.model", {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, **_DEBERTA}),
        ("albert", "spiece.model", _ALBERT),
    ],
)
def test_sentencepiece_file_alone_equals_the_pipeline(
    tmp_path: Path, family: str, name: str, specials: dict[str, Any]
) -> None:
    folder = build(tmp_path / "model", family, vocab_size=3_000)
    (folder / "tokenizer.json").unlink()
    with (folder / name).open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS), model_writer=file, vocab_size=150, minloglevel=2, **specials
        )
    with Engine.load(str(folder), device="cpu", dtype="float32", top_k=None) as engine:
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(folder, TEXTS), 1e-5)


@pytest.mark.parametrize("name", ["BertweetTokenizer", "BertJapaneseTokenizer"])
@pytest.mark.parametrize("files", [(), ("vocab.txt",)])
def test_python_tokenizer_is_refused_by_name(copied: Path, name: str, files: tuple[str, ...]) -> None:
    (copied / "tokenizer.json").unlink()
    for file in files:
        (copied / file).write_text("[PAD]\n[UNK]\n")
    set_keys(copied, tokenizer_class=name)
    assert f"the tokenizer ({name}) is written in Python and has no tokenizer.json" in refusal(copied)


def test_tokenizer_code_of_the_model_is_never_run(copied: Path) -> None:
    (copied / "own.py").write_text("raise SystemExit('executed')")
    set_keys(copied, tokenizer_class="OwnTokenizer", auto_map={"AutoTokenizer": ["own.OwnTokenizer", None]})
    edit_config(copied, model_type="distilbert")
    with contextlib.suppress(ModelError):
        load(str(copied), ModelOptions(device="cpu"))


def test_invalid_tokenizer_config_is_named(copied: Path) -> None:
    (copied / "tokenizer_config.json").write_text("{")
    assert "tokenizer_config.json is not JSON" in refusal(copied)


def test_split_special_tokens_is_refused(copied: Path) -> None:
    set_keys(copied, split_special_tokens=True)
    assert "split_special_tokens is not supported" in refusal(copied)


def set_keys(folder: Path, **keys: Any) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))
