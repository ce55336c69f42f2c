"""Configs are read by transformers' own classes, and a repository's code never runs."""

from pathlib import Path

import pytest
import torch
import transformers

from labelstream.workers.classifier import Request
from labelstream.workers.engine.engine import Engine
from tests.support.models import TEXTS, build, edit_config, make_tokenizer
from tests.support.parity import assert_equal, oracle
from tests.support.refused import refusal


def test_auto_map_of_a_known_type_is_ignored(copied: Path) -> None:
    expected = oracle(copied, TEXTS)
    edit_config(copied, auto_map={"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"})
    (copied / "evil.py").write_text("raise SystemExit('executed')")
    with Engine.load(str(copied), device="cpu", dtype="float32", top_k=None) as engine:
        assert_equal(engine.classify([Request(text) for text in TEXTS]), expected, 1e-5)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("kernel", ["flash_attention_2", "evil/kernel", "eager"])
def test_attention_of_the_config_is_ignored(copied: Path, key: str, kernel: str) -> None:
    expected = oracle(copied, TEXTS)
    edit_config(copied, **{key: kernel})
    with Engine.load(str(copied), device="cpu", dtype="float32", top_k=None) as engine:
        assert_equal(engine.classify([Request(text) for text in TEXTS]), expected, 1e-5)


@pytest.mark.parametrize("architecture", ["Model", "ForMaskedLM"])
def test_untrained_head_is_refused(tmp_path: Path, architecture: str) -> None:
    folder = build(tmp_path / "model", "distilbert", architecture=architecture)
    assert f"DistilBert{architecture} is not a sequence classifier" in refusal(folder)
    edit_config(folder, architectures=["DistilBertForSequenceClassification"])  # although its weights have no such head
    message = refusal(folder)
    assert "the weights lack classifier.bias and 3 more" in message
    assert "fine-tune" in message


def test_task_that_fits_the_architecture_is_suggested(tmp_path: Path) -> None:
    assert "or set task feature-extraction" in refusal(build(tmp_path / "body", "bert", architecture="Model"))
    masked = build(tmp_path / "masked", "bert", architecture="ForMaskedLM")
    assert "or set task fill-mask" in refusal(masked)
    edit_config(masked, architectures=["BertForTokenClassification"])
    assert refusal(masked).endswith("name the folder of the result")


def test_unknown_model_type_is_refused_by_name(copied: Path) -> None:
    edit_config(copied, model_type="nobodys")
    assert "model_type 'nobodys' is unknown to transformers" in refusal(copied)
    assert "auto_map" not in refusal(copied)
    edit_config(copied, auto_map={"AutoConfig": "own.Config"})
    assert "asks for code of the model (auto_map), which is never run" in refusal(copied)


def test_unreadable_config_is_model_error(copied: Path) -> None:
    edit_config(copied, n_heads="four", dim=-1)
    assert "config.json cannot be read" in refusal(copied) or "the model cannot be loaded" in refusal(copied)


def test_big_bird_has_full_attention(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = make_tokenizer("bert", model_max_length=256)
    config = transformers.BigBirdConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=256,
        block_size=8,
        num_random_blocks=1,
        pad_token_id=tokenizer.pad_token_id,
        sep_token_id=tokenizer.sep_token_id,
    )
    config.num_labels = 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BigBirdForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["good", "not bad at all " * 40, "good"]
    with Engine.load(str(tmp_path), device="cpu", dtype="float32", top_k=None) as engine:
        assert_equal(engine.classify([Request(text) for text in texts]), oracle(tmp_path, texts), 1e-5)
    assert "uses full attention instead" in caplog.text
