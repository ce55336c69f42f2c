"""The demo's messages: varied, and broken in each way once."""

import json
from pathlib import Path
from typing import Any

from labelstream.deploy.demo.make_model import HERE

FEEDBACK = HERE / "feedback.jsonl"


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
