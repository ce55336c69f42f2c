"""Long texts: the kept part, and windows equal to those of `tokenizers`."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.engine.description import Activation, Keep, Windows
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.tasks.windows import aggregate, encode_windows, spans
from labelstream.workers.engine.tokenization.refusals import NO_TOKENS
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES, int32_bytes
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.engine.tokenization.truncation import cut
from labelstream.workers.errors import ModelError
from tests.support.descriptions import DESCRIPTION
from tests.support.models import TEXTS, build

LONG = (" ".join(TEXTS), "good " * 63, "good " * 300, TEXTS[0], "x" * 500, "[SEP] " + TEXTS[1] * 9, "bad")
PLAIN: dict[str, Any] = {"device": "cpu", "dtype": "float32", "top_k": None}
FAMILIES = ("distilbert", "bert", "roberta", "albert", "deberta-v2")

Folders = Callable[[str], Path]


def windows_of(
    folder: Path, text: str, pair: str | None, stride: int, activation: Activation = Activation.SOFTMAX
) -> list[dict[str, float]]:
    """Each window's scores, computed by transformers."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = (text,) if pair is None else (text, pair)
    found = tokenizer(
        *texts,
        truncation="only_first",
        max_length=64,
        stride=stride,
        return_overflowing_tokens=True,
        return_tensors=None,
    )
    scores = []
    for row in range(len(found["input_ids"])):
        inputs = {name: torch.tensor([found[name][row]]) for name in tokenizer.model_input_names}
        with torch.inference_mode():
            logits = model(**inputs).logits[0]
        values = {"softmax": logits.softmax(-1), "sigmoid": logits.sigmoid(), "none": logits}[activation]
        scores.append(dict(zip(model.config.id2label.values(), values.tolist(), strict=True)))
    return scores


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("how", ["mean", "max"])
def test_the_windows_are_those_of_tokenizers(model_folder: Folders, family: str, how: str) -> None:
    folder, stride = model_folder(family), 10
    requests = [Request(text) for text in LONG] + [Request(LONG[0], "a pair"), Request("a", "b")]
    with Engine.load(
        str(folder), long_text="windows", stride=stride, aggregate=how, max_batch_tokens=256, **PLAIN
    ) as engine:
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


@pytest.mark.parametrize(
    ("labels", "problem_type", "activation"),
    [
        (("a", "b", "c"), "multi_label_classification", Activation.SIGMOID),
        (("a", "b"), "regression", Activation.NONE),
        (("score",), "regression", Activation.NONE),
        (("toxic",), None, Activation.SIGMOID),
    ],
)
@pytest.mark.parametrize("how", ["mean", "max"])
def test_windows_of_every_kind_of_scores(
    tmp_path: Path, labels: tuple[str, ...], problem_type: str | None, activation: Activation, how: str
) -> None:
    folder = build(tmp_path / "model", "bert", labels=labels, problem_type=problem_type)
    with Engine.load(str(folder), long_text="windows", stride=5, aggregate=how, **PLAIN) as engine:
        answers = engine.classify([Request(text) for text in LONG])
    for text, answer in zip(LONG, answers, strict=True):
        assert isinstance(answer, Prediction)
        windows = windows_of(folder, text, None, 5, activation)
        of_label = {label: [window[label] for window in windows] for label in labels}
        expected = {label: max(each) if how == "max" else sum(each) / len(each) for label, each in of_label.items()}
        assert dict(zip(answer.labels, answer.scores, strict=True)) == pytest.approx(expected, abs=1e-5)
        assert answer.accepted == (
            tuple(x for x in answer.labels if expected[x] >= 0.5) if activation is Activation.SIGMOID else None
        )


def test_a_model_abstains_by_the_score_of_all_windows(model_folder: Folders) -> None:
    with Engine.load(str(model_folder("bert")), long_text="windows", stride=10, threshold=0.999, **PLAIN) as engine:
        (answer,) = engine.classify([Request(LONG[0])])
    assert isinstance(answer, Prediction)
    assert answer.abstained


def test_windows_of_many_messages_share_the_batches(model_folder: Folders) -> None:
    texts = [LONG[0], LONG[1], LONG[2], LONG[1]]
    with Engine.load(
        str(model_folder("bert")), long_text="windows", stride=10, max_batch_tokens=64 * 64, **PLAIN
    ) as engine:
        backend: Any = engine._predictor.backend
        batches: list[int] = []
        logits = backend.logits
        backend.logits = lambda batch: batches.append(len(batch.ids)) or logits(batch)
        together = engine.classify([Request(text) for text in texts])
        assert len(batches) < len(texts)
        assert sum(batches) > 2 * len(texts)
        alone = [engine.classify([Request(text)])[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert (one.labels, one.tokens) == (other.labels, other.tokens)
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_failed_window_fails_its_message_only() -> None:
    first, second = RecordError(Fault.INFERENCE_FAILED, "1"), RecordError(Fault.INFERENCE_FAILED, "2")
    scores = np.array([[0.1, 0.9], [0.2, 0.6], [0.4, 0.6], [0.8, 0.2], [0.5, 0.5]], np.float32)
    scored = ScoredSequences(None, scores, {})
    whole = aggregate(scored, [2, 1, 2], 2, "mean")
    assert whole.scores == pytest.approx(np.array([[0.75, 0.15], [0.6, 0.4], [0.65, 0.35]]))
    assert whole.label_ids is not None
    assert whole.label_ids.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert (whole.scores.dtype, whole.label_ids.dtype) == (np.float32, np.int32)
    assert aggregate(scored, [2, 1, 2], 2, "max").scores[:, 0] == pytest.approx([0.9, 0.6, 0.8])
    assert aggregate(scored._replace(errors={4: second, 3: first}), [2, 1, 2], 2, "max").errors == {2: first}
    assert aggregate(scored._replace(errors={2: second, 1: first}), [2, 1, 2], 2, "max").errors == {0: first, 1: second}
    tie = aggregate(scored._replace(scores=np.full((1, 2), 0.5, np.float32)), [1], 2, "mean")
    assert tie.label_ids is not None
    assert tie.label_ids.tolist() == [[0, 1]]
    halves = scored._replace(label_ids=None, scores=np.array([[0.0] * 50 + [1.0] * 50], np.float32))
    many = aggregate(halves, [1], 100, "max")
    assert many.label_ids is not None
    assert many.label_ids.tolist() == [[*range(50, 100), *range(50)]]
    for counts in ([2, 1, 1], [2, 2, 2], []):
        with pytest.raises(ValueError, match="answers for"):
            aggregate(scored, counts, 2, "mean")
    with pytest.raises(ValueError, match="0 answers for 0"):
        aggregate(scored._replace(label_ids=None, scores=np.zeros((0, 2), np.float32)), [], 2, "mean")


def test_windows_are_at_most_max_windows() -> None:
    """With a step of one token, half a million tokens are half a million windows."""
    assert spans(500_000, 64, 63, 33) == [(first, first + 64) for first in range(33)]
    assert spans(500_000, 1, 200, 1) == [(0, 1)]


def test_text_beyond_max_windows_is_truncated(model_folder: Folders) -> None:
    with Engine.load(str(model_folder("bert")), long_text="windows", stride=0, max_windows=2, **PLAIN) as engine:
        answers = engine.classify([Request("good " * 124), Request("good " * 125), Request("good", "bad " * 500)])
    read = [(answer.tokens, answer.truncated) for answer in answers if isinstance(answer, Prediction)]
    assert read == [(128, False), (128, True), (1 + 3 + 30, True)]


def test_text_without_any_token_is_refused() -> None:
    bare: Any = Tokenizer.from_str(DESCRIPTION.tokenizer_json)
    bare.post_processor = None
    tokenizer = TextTokenizer(replace(DESCRIPTION, tokenizer_json=bare.to_str()))
    packed, (counts, _), refused = encode_windows(tokenizer, Windows(5, "mean", 4), [Request(""), Request("good")])
    assert (packed.lengths.tolist(), counts, refused) == ([1], [1], {0: NO_TOKENS})


@given(st.integers(0, 500), st.integers(1, 60), st.integers(0, 60))
def test_windows_cover_everything_and_share_the_stride(length: int, room: int, stride: int) -> None:
    found = spans(length, room, stride, 10**9)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(last - first <= room for first, last in found)
    for (first, last), (following, _) in pairwise(found):
        assert last - first == room
        assert last - following == min(stride, room - 1)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (Keep.HEAD, [0, 1, 2, 3, 4, 5, 6, 7]),
        (Keep.TAIL, list(range(12, 20))),
        (Keep.HEAD_TAIL, [0, 1, 14, 15, 16, 17, 18, 19]),
    ],
)
def test_cut_keeps_the_ends_that_keep_names(keep: Keep, kept: list[int]) -> None:
    content = int32_bytes(range(20))
    assert cut(content, 8, keep) == int32_bytes(kept)
    assert cut(content, 20, keep) == content
    assert len(cut(content, 1, keep)) == ID_BYTES
    assert len(cut(content, 5, keep)) == 5 * ID_BYTES


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("keep", list(Keep))
def test_truncate_setting_chooses_the_kept_part(model_folder: Folders, family: str, keep: Keep) -> None:
    """Of single texts, and of both texts of a pair; whatever is known of their words."""
    with Engine.load(str(model_folder(family)), max_length=24, truncate=keep, **PLAIN) as engine:
        tokenizer = TextTokenizer(engine.description)
    long, other = "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 9 + "end", "not bad at all " * 9
    frame, pair = tokenizer.single, tokenizer.pair
    for first, second in ((long, other), (long + "\u00e9", other), (long, "good")):
        whole, rest = tokenizer.contents([first, second])
        assert isinstance(whole, bytes)
        assert isinstance(rest, bytes)
        packed, truncated = tokenizer.encode([Request(first), Request(first, second)])
        assert packed.lengths.tolist() == [24, 24]
        assert truncated == [True, True]
        assert packed.ids[:24].tobytes() == frame.wrap([cut(whole, 24 - frame.special_count, keep)])
        room = 24 - pair.special_count
        few = min(len(rest) // ID_BYTES, room // 2)
        assert packed.ids[24:].tobytes() == pair.wrap([cut(whole, room - few, keep), cut(rest, few, keep)])


def test_windows_advance_despite_a_large_stride(model_folder: Folders) -> None:
    with pytest.raises(ModelError, match="stride 33 is more than half of max_length"):
        load(str(model_folder("bert")), ModelOptions(long_text="windows", stride=33, device="cpu"))
