"""What one message may cost, and whose fault it is when its text cannot be read."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.engine.description import Activation, Mask, ModelDescription, Windows, ZeroShot
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.engine.tokenization import word_cache
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.engine.tokenization.word_rules import words_of
from tests.support.models import make_tokenizer

BERT = make_tokenizer("bert").backend_tokenizer.to_str()
PLAIN = ModelDescription("m", "rev", "text-classification", ("a", "b", "c"), Activation.SOFTMAX, 24, 2, BERT)
FILLS = replace(PLAIN, task="fill-mask", labels=tuple(f"t{i}" for i in range(4_000)), mask=Mask("[MASK]", 4))
NLI = replace(
    PLAIN,
    task="zero-shot-classification",
    labels=("no", "yes", "?"),
    ranked=False,
    zero_shot=ZeroShot(1, 0, ("x", "y", "z")),
)
EMBEDDING = replace(PLAIN, task="feature-extraction", labels=(), ranked=False, dimensions=2)
TASKS = {
    "classification": PLAIN,
    "windows": replace(PLAIN, windows=Windows(2, "mean", 3)),
    "zero-shot": NLI,
    "embedding": EMBEDDING,
    "fill-mask": FILLS,
}


def panicking(description: ModelDescription) -> ModelDescription:
    """Its pre-tokenizer has an expression that the library gives up on, for 40 times the letter a."""
    tokenizer = json.loads(description.tokenizer_json)
    tokenizer["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": r"(a+)+\d"},
        "behavior": "Isolated",
        "invert": False,
    }
    return replace(description, tokenizer_json=json.dumps(tokenizer))


@pytest.mark.parametrize("task", TASKS)
def test_a_panic_of_the_tokenizer_is_one_records_error(task: str) -> None:
    good = "[MASK]" if task == "fill-mask" else "good"
    requests = [Request(good), Request("a" * 40), Request(good + " bad")]
    prepared = task_for(panicking(TASKS[task])).prepare(requests)
    refused = RecordError(Fault.INVALID_MESSAGE, "the tokenizer refuses the text: PanicException")
    assert prepared.rejected == {1: refused}
    assert len(prepared.packed.lengths) == (6 if task == "zero-shot" else 2)


def test_a_panic_over_a_label_is_its_messages_error() -> None:
    prepared = task_for(panicking(NLI)).prepare([Request("good", candidate_labels=("a" * 40,)), Request("good")])
    assert prepared.rejected.keys() == {0}
    assert len(prepared.packed.lengths) == 3


class Asked:
    """A tokenizer that notes the texts it is asked for. `failing`: raises that for texts with "fail" in them."""

    def __init__(self, tokenizer: Any, failing: BaseException | None = None) -> None:
        self._tokenizer, self._failing, self.texts = tokenizer, failing, []

    def encode_batch_fast(self, texts: list[str], **how: Any) -> Any:
        self.texts += texts
        if self._failing is not None and any("fail" in text for text in texts):
            raise self._failing
        return self._tokenizer.encode_batch_fast(texts, **how)


def asked(task: Any, failing: BaseException | None = None) -> Asked:
    """Of a task, whose texts are all given to the tokenizer itself then."""
    tokenizer: TextTokenizer = task._task._tokenizer
    tokenizer._words = None
    spy: Any = Asked(tokenizer._tokenizer, failing)
    tokenizer._tokenizer = spy
    return spy


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_what_ends_the_program_goes_through(error: BaseException) -> None:
    task = task_for(PLAIN)
    asked(task, error)
    with pytest.raises(type(error)):
        task.prepare([Request("good"), Request("fail")])


@pytest.mark.parametrize("task", ["zero-shot", "fill-mask"])
def test_nothing_is_read_twice_for_a_neighbour_that_is_not_answered(task: str) -> None:
    made = task_for(TASKS[task])
    spy = asked(made)
    bad = Request("no mask") if task == "fill-mask" else Request("good", candidate_labels=("x " * 30,))
    texts = [f"[MASK] {i}" for i in range(5)]
    prepared = made.prepare([*map(Request, texts[:3]), bad, *map(Request, texts[3:])])
    assert prepared.rejected.keys() == {3}
    assert [text for text in spy.texts if text in texts] == texts


def test_texts_are_read_once_more_where_the_tokenizer_fails() -> None:
    made = task_for(PLAIN)
    spy = asked(made, ValueError("x"))
    prepared = made.prepare([Request("good"), Request("fail"), Request("bad")])
    assert prepared.rejected == {1: RecordError(Fault.INVALID_MESSAGE, "the tokenizer refuses the text: ValueError")}
    assert sorted(spy.texts) == sorted(2 * ["good", "fail", "bad"])


@pytest.mark.parametrize(
    ("task", "request_", "tokens", "sequences"),
    [
        ("classification", Request("good " * 8), 10, 1),
        ("windows", Request("good " * 60), 70, 3),
        ("windows", Request("good " * 8, "bad"), 12, 1),
        ("zero-shot", Request("good", candidate_labels=("a", "b")), 28, 2),
        ("zero-shot", Request("good " * 99, candidate_labels=("a", "b", "c")), 72, 3),
        ("embedding", Request("good " * 8), 10, 1),
        ("fill-mask", Request("[MASK] good [MASK]"), 10, 2),
    ],
)
def test_a_message_may_have_so_many_tokens(task: str, request_: Request, tokens: int, sequences: int) -> None:
    """And its neighbours are answered, whatever it would have been."""
    good = (
        Request("[MASK]")
        if task == "fill-mask"
        else Request("good", candidate_labels=("a",) if task == "zero-shot" else None)
    )
    counted = task_for(TASKS[task], tokens).prepare([good, request_, good._replace(text=good.text + " bad")])
    one = task_for(TASKS[task], 1_000).prepare([request_])
    assert (len(one.packed.ids), len(one.packed.lengths)) == (tokens, sequences)
    assert counted.rejected == {}
    refused = task_for(TASKS[task], tokens - 1).prepare([good, request_, good])
    s = "s" if sequences > 1 else ""
    assert refused.rejected == {
        1: RecordError(
            Fault.TOO_LARGE,
            f"{tokens} tokens in {sequences} sequence{s}; limits.max_tokens_per_message is {tokens - 1}",
        )
    }
    assert refused.order == [0, 1, 0]


def test_longest_documented_messages_are_answered() -> None:
    """100 labels beside 512 tokens, and 32 windows of 512."""
    for description, request in (
        (replace(NLI, max_length=512), Request("good " * 999, candidate_labels=tuple(map(str, range(100))))),
        (replace(PLAIN, max_length=512, windows=Windows(128, "mean", 32)), Request("good " * 99_999)),
    ):
        assert not task_for(description).prepare([request]).rejected


def test_one_message_does_not_make_all_answers_wide() -> None:
    many = Request("[MASK]", top_k=1_001)
    prepared = task_for(FILLS).prepare([Request("[MASK]"), many, Request("[MASK]", top_k=1_000)])
    assert prepared.width == 1_000
    assert prepared.rejected == {
        1: RecordError(Fault.INVALID_MESSAGE, "top_k is 1001; 1000 is the most of a model with 4000 labels")
    }
    own = task_for(replace(FILLS, top_k=2_000)).prepare([many._replace(top_k=2_000)])  # the operator asks for as many
    assert (own.width, own.rejected) == (2_000, {})
    few = task_for(PLAIN).prepare([many._replace(text="good")])  # all labels that there are
    assert (few.width, few.rejected) == (3, {})


def test_masks_times_top_k_are_bounded() -> None:
    task = task_for(FILLS)
    requests = [Request("[MASK]" * 20, top_k=500), Request("[MASK]" * 20, top_k=501), Request("[MASK] good", top_k=501)]
    prepared = task.prepare(requests)
    assert prepared.rejected == {
        1: RecordError(Fault.INVALID_MESSAGE, "20 masks with a top_k of 501 ask for 10020 tokens; 10000 are the most")
    }
    assert prepared.packed.targets is not None
    assert prepared.packed.targets.tolist() == [*range(1, 21), 1]
    assert prepared.packed.lengths.tolist() == [22] * 20 + [4]
    own = task_for(replace(FILLS, top_k=501)).prepare([requests[1]._replace(top_k=None)])
    assert not own.rejected


def test_answers_stand_beside_what_is_refused() -> None:
    task = task_for(NLI, 30)
    labels = ("a", "b", "c")
    prepared = task.prepare(
        [
            Request(text, candidate_labels=some)
            for text, some in (("good", labels[:1]), ("good " * 9, labels), ("bad", labels[1:2]))
        ]
    )
    first, second, third = prepared.answers(ScoredSequences(None, np.zeros((2, 3), np.float32), {}))
    assert isinstance(first, Prediction)
    assert isinstance(second, RecordError)
    assert isinstance(third, Prediction)
    assert (first.labels, second.fault, third.labels) == (("a",), Fault.TOO_LARGE, ("b",))


@pytest.mark.parametrize("shape", [lambda i: f"{i:064d}", lambda i: f"w{i}"])
def test_the_word_cache_is_bounded_in_bytes(shape: Callable[[int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_cache, "MAX_BYTES", 10_000)
    words: Any = words_of(make_tokenizer("roberta").backend_tokenizer)
    cache = words._others
    for i in range(500):
        assert words.ids(f"a {shape(i)}")
        assert sum(len(word) + len(ids) for word, ids in cache.items()) < 10_500
    assert len(cache) + len(cache._old) > 20
    assert cache._bytes <= 10_500
