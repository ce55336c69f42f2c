"""The demo's shipped model: small, safe to load, and as accurate as its card says."""

import json

import pytest

from labelstream.deploy.demo.corpus import LABELS
from labelstream.deploy.demo.make_model import HANDWRITTEN, HERE, read_sentences, wrong_answers

MODEL = HERE / "model"


def test_folder_is_small_and_holds_no_pickles() -> None:
    files = [path for path in MODEL.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000
    assert sorted(path.name for path in files) == [
        "README.md",
        "accuracy.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_config_is_that_of_a_sentiment_classifier() -> None:
    config = json.loads((MODEL / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["DistilBertForSequenceClassification"]
    assert config["id2label"] == {str(index): label for index, label in enumerate(LABELS)}
    assert config["dtype"] == "float32"
    tokenizer = json.loads((MODEL / "tokenizer_config.json").read_text("utf-8"))
    assert tokenizer["model_max_length"] == config["max_position_embeddings"] == 128


def test_accuracy_on_hand_written_sentences_is_the_stated_one() -> None:
    sentences = read_sentences(HANDWRITTEN)
    stated = json.loads((MODEL / "accuracy.json").read_text("utf-8"))
    accuracy = 1 - len(wrong_answers(MODEL, sentences)) / len(sentences)
    assert stated == {
        "accuracy": pytest.approx(accuracy, abs=1e-9),
        "sentences": len(sentences),
        "source": HANDWRITTEN.relative_to(HERE.parent.parent).as_posix(),
    }
    assert accuracy >= 0.80
