"""Long texts: what is kept of them, and the windows that `tokenizers` itself would make."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from tests.models import TEXTS
from workers.classifier import Prediction, Request
from workers.engine.description import Keep
from workers.engine.engine import Engine
from workers.engine.frame import ID_BYTES, int32_bytes
from workers.engine.loading import load
from workers.engine.options import ModelOptions
from workers.engine.tokenizer import cut
from workers.engine.windows import spans
from workers.errors import ModelError

LONG = (" ".join(TEXTS), "good " * 63, "good " * 300, TEXTS[0], "x" * 500, "[SEP] " + TEXTS[1] * 9, "bad")
PLAIN: dict[str, Any] = {"device": "cpu", "dtype": "float32", "top_k": None}
FAMILIES = ("distilbert", "bert", "roberta", "albert", "deberta-v2")

Folders = Callable[[str], Path]


def windows_of(folder: Path, text: str, pair: str | None, stride: int) -> list[dict[str, float]]:
    """Each window's scores, by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = (text,) if pair is None else (text, pair)
    found = tokenizer(*texts, truncation="only_first", max_length=64, stride=stride, return_overflowing_tokens=True,
                      return_tensors=None)
    scores = []
    for row in range(len(found["input_ids"])):
        inputs = {name: torch.tensor([found[name][row]]) for name in tokenizer.model_input_names}
        with torch.inference_mode():
            logits = model(**inputs).logits[0]
        scores.append(dict(zip(model.config.id2label.values(), torch.softmax(logits, -1).tolist(), strict=True)))
    return scores


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("how", ["mean", "max"])
def test_the_windows_are_those_of_tokenizers(model_folder: Folders, family: str, how: str) -> None:
    folder, stride = model_folder(family), 10
    requests = [Request(text) for text in LONG] + [Request(LONG[0], "a pair"), Request("a", "b")]
    with Engine.load(str(folder), long_text="windows", stride=stride, aggregate=how, max_batch_tokens=256,
                     **PLAIN) as engine:  # fmt: skip
        answers = engine.classify(requests)
    for request, answer in zip(requests, answers, strict=True):
        assert isinstance(answer, Prediction)
        windows = windows_of(folder, request.text, request.text_pair, stride)
        expected = {
            label: (max if how == "max" else lambda s: sum(s) / len(s))([window[label] for window in windows])
            for label in windows[0]
        }
        assert dict(zip(answer.labels, answer.scores, strict=True)) == pytest.approx(expected, abs=1e-5)
        assert list(answer.scores) == sorted(answer.scores, reverse=True)
        assert not answer.truncated


def test_too_many_windows_are_cut_and_say_so(model_folder: Folders) -> None:
    with Engine.load(str(model_folder("bert")), long_text="windows", stride=0, max_windows=2, **PLAIN) as engine:
        answers = engine.classify([Request("good " * 124), Request("good " * 125), Request("good", "bad " * 500)])
    read = [(answer.tokens, answer.truncated) for answer in answers if isinstance(answer, Prediction)]
    assert read == [(128, False), (128, True), (1 + 3 + 30, True)]


@given(st.integers(0, 500), st.integers(1, 60), st.integers(0, 60))
def test_windows_cover_everything_and_share_the_stride(length: int, room: int, stride: int) -> None:
    found = spans(length, room, stride)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(last - first <= room for first, last in found)
    for (first, last), (following, _) in pairwise(found):
        assert last - first == room
        assert last - following == min(stride, room - 1)


@pytest.mark.parametrize(("keep", "kept"), [(Keep.HEAD, [0, 1, 2, 3, 4, 5, 6, 7]), (Keep.TAIL, list(range(12, 20))),
                                            (Keep.HEAD_TAIL, [0, 1, 14, 15, 16, 17, 18, 19])])
def test_what_is_kept_of_a_long_text(keep: Keep, kept: list[int]) -> None:
    content = int32_bytes(range(20))
    assert cut(content, 8, keep) == int32_bytes(kept)
    assert cut(content, 20, keep) == content
    assert len(cut(content, 1, keep)) == ID_BYTES


@pytest.mark.parametrize("family", ["bert", "roberta"])  # with the word cache, and without
@pytest.mark.parametrize(("keep", "text"), [("head", "a b c d e f"), ("tail", "u v w x y z"),
                                            ("head_tail", "a v w x y z")])
def test_a_setting_says_what_is_kept(model_folder: Folders, family: str, keep: str, text: str) -> None:
    alphabet = " ".join("abcdefghijklmnopqrstuvwxyz")
    long_words = " ".join(["a", *["m" * 40] * 100, *"vwxyz"]) if keep == "head_tail" and family == "bert" else alphabet
    with Engine.load(str(model_folder(family)), max_length=8, truncate=keep, **PLAIN) as engine:
        whole, part = engine.classify([Request(long_words), Request(text)])
    assert isinstance(whole, Prediction)
    assert isinstance(part, Prediction)
    assert whole.truncated
    if family == "bert":
        assert whole.scores == pytest.approx(part.scores, abs=1e-5)


def test_a_stride_must_leave_something_new(model_folder: Folders) -> None:
    with pytest.raises(ModelError, match="stride 33 is more than half of max_length"):
        load(str(model_folder("bert")), ModelOptions(long_text="windows", stride=33, device="cpu"))
