"""The demo's shipped model and data: small, safe to load, and as accurate as its card says."""

import json
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.demo.corpus import LABELS, normalised
from labelstream.deploy.demo.make_model import HANDWRITTEN, HERE, read_sentences, training_corpus, wrong_answers

MODEL = HERE / "model"
FEEDBACK = HERE / "feedback.jsonl"


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


def test_hand_written_sentences_are_balanced_and_unseen() -> None:
    sentences = read_sentences(HANDWRITTEN)
    labels = [label for _, label in sentences]
    assert len({normalised(text) for text, _ in sentences}) == len(sentences) >= 100
    assert set(labels) == set(LABELS)
    assert labels.count("POSITIVE") * 2 == len(labels)
    seen = {normalised(text) for text, _ in training_corpus()}
    assert [text for text, _ in sentences if normalised(text) in seen] == []


def fault(line: str) -> str | None:
    """What is wrong with a line of feedback, by the rules of JSON and of the input format; None if nothing is."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise KeyError("duplicate key")
        return dict(pairs)

    try:
        message = json.loads(line, object_pairs_hook=unique)
    except json.JSONDecodeError:
        return "truncated" if line.startswith("{") else "not json"
    except KeyError:
        return "duplicate key"
    text = message.get("text")
    if not isinstance(text, str):
        return "missing text" if text is None else "wrong type"
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "lone surrogate"
    if not text.strip():
        return "blank text"
    return "unknown model" if "model" in message else None


def test_feedback_has_one_broken_line_of_each_kind() -> None:
    lines = Path(FEEDBACK).read_text("utf-8").splitlines()
    faults = [found for line in lines if (found := fault(line))]
    assert sorted(faults) == sorted(
        [
            "not json",
            "truncated",
            "wrong type",
            "missing text",
            "blank text",
            "lone surrogate",
            "duplicate key",
            "unknown model",
        ]
    )
    assert len(lines) == 200


def test_feedback_is_varied_and_not_from_the_corpus() -> None:
    messages = [json.loads(line) for line in FEEDBACK.read_text("utf-8").splitlines() if not fault(line)]
    texts = [message["text"] for message in messages]
    assert len(set(texts)) == len(texts)
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) <= 3
    assert 60 <= max(lengths) <= 80
    assert any(not text.isascii() for text in texts)
    ids = [message["id"] for message in messages if "id" in message]
    assert len(set(ids)) == len(ids)
