"""Compares fill-mask answers with transformers' own pipeline."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from labelstream.workers.classifier import MaskFill

OPTIONS: dict[str, Any] = {"task": "fill-mask", "device": "cpu", "dtype": "float32"}


@cache
def oracle(folder: Path) -> Any:
    return transformers.pipeline("fill-mask", str(folder), dtype=torch.float32, device="cpu")


def expected(folder: Path, text: str, top_k: int = 5) -> list[list[dict[str, Any]]]:
    """The pipeline's answer for each mask of `text`."""
    found = oracle(folder)(text, top_k=top_k, tokenizer_kwargs={"truncation": True})
    return found if isinstance(found[0], list) else [found]


def assert_same(folder: Path, texts: Sequence[str], answers: Sequence[Any], within: float = 1e-5) -> None:
    for text, answer in zip(texts, answers, strict=True):
        assert isinstance(answer, MaskFill), answer
        wanted = expected(folder, text)
        assert len(answer.masks) == len(wanted)
        for fills, best in zip(answer.masks, wanted, strict=True):
            assert [fill.score for fill in fills] == pytest.approx([entry["score"] for entry in best], abs=within)
            if within < 1e-4:
                assert [(fill.token_id, fill.token) for fill in fills] == [(e["token"], e["token_str"]) for e in best]


def masked(text: str, mask: str) -> str:
    """Masks the middle word, and in every third text the first word as well."""
    words = text.split() or [""]
    words[len(words) // 2] = mask
    return " ".join([mask, *words] if len(text) % 3 == 0 else words)
