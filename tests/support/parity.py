"""Compares answers with those of transformers' own pipelines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from labelstream.workers.classifier import Prediction

ODD_TEXTS = (
    "",
    " ",
    "\t\n",
    "x" * 300,
    "good " * 200,
    "[SEP] [MASK] <mask> </s>",
    "nul\x00 bidi \u202e \u200f",
    "emoji \U0001f600\U0001f680 \u0645\u0631\u062d\u0628\u0627",
    " " * 10_000 + "end",
    "a\u0301e\u0300",
)


PAIRS = (
    ("The handle snapped off.", "It broke."),
    ("good " * 100, "bad"),
    ("bad", "good " * 100),
    ("not " * 90, "so " * 91),
    ("", "only a pair"),
    ("only a text", ""),
    ("a", "b"),
)


BACKENDS = ("torch", "openvino")


def oracle(folder: Path, inputs: Sequence[Any]) -> list[list[dict[str, Any]]]:
    pipeline = transformers.pipeline("text-classification", str(folder), dtype=torch.float32, device="cpu")
    return [pipeline(one, top_k=None, truncation=True) for one in inputs]


def assert_equal(answers: Sequence[Any], expected: list[list[dict[str, Any]]], within: float) -> None:
    for answer, scores in zip(answers, expected, strict=True):
        assert isinstance(answer, Prediction)
        wanted = {entry["label"]: entry["score"] for entry in scores}
        assert dict(zip(answer.labels, answer.scores, strict=True)) == pytest.approx(wanted, abs=within)
        assert list(answer.scores) == sorted(answer.scores, reverse=True)
        if len(scores) > 1 and scores[0]["score"] - scores[1]["score"] > within:
            assert answer.labels[0] == scores[0]["label"]
