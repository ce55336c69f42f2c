"""The demo's shipped model: small, safe to load, and as accurate as its card says."""

import json

import pytest

from labelstream.deploy.demo import make_model
from labelstream.deploy.demo.corpus import LABELS
from labelstream.deploy.demo.make_model import HANDWRITTEN, HERE, measured
from labelstream.deploy.demo.public_texts import SENTENCES, read_sentences

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


def test_help_gives_the_measured_time() -> None:
    assert "One run took 18 minutes on one CPU core" in str(make_model.__doc__)


def test_config_is_that_of_a_sentiment_classifier() -> None:
    config = json.loads((MODEL / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["DistilBertForSequenceClassification"]
    assert config["id2label"] == {str(index): label for index, label in enumerate(LABELS)}
    assert config["dtype"] == "float32"
    tokenizer = json.loads((MODEL / "tokenizer_config.json").read_text("utf-8"))
    assert tokenizer["model_max_length"] == config["max_position_embeddings"] == 128


def test_accuracy_on_hand_written_sentences_is_the_stated_one() -> None:
    stated = json.loads((MODEL / "accuracy.json").read_text("utf-8"))
    found = measured(MODEL, read_sentences(HANDWRITTEN))
    assert stated["handwritten"].items() >= {**found, "accuracy": pytest.approx(found["accuracy"])}.items()
    assert found["accuracy"] >= 0.80


def test_stated_accuracy_is_on_public_sentences_and_in_the_card() -> None:
    """The sentences are not in the repository: what was measured when the model was made is stored."""
    stated = json.loads((MODEL / "accuracy.json").read_text("utf-8"))
    assert stated["source"] == SENTENCES
    assert stated["sentences"] >= 400
    assert stated["accuracy"] >= 0.80
    card = (MODEL / "README.md").read_text("utf-8")
    assert f"{stated['accuracy']:.1%} of {stated['sentences']}" in card
    assert f"{stated['handwritten']['accuracy']:.1%} of {stated['handwritten']['sentences']}" in card
