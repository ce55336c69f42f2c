"""The token limit of a message, and the errors of unreadable texts."""

import json
from dataclasses import replace
from typing import Any

import pytest

from labelstream.workers.classifier import Fault, RecordError, Request
from labelstream.workers.engine.description import ModelDescription, Windows
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from tests.support.task_descriptions import NLI, PLAIN, TASKS


def panicking(description: ModelDescription) -> ModelDescription:
    """Its pre-tokenizer has a regular expression that panics on 40 letters a."""
    tokenizer = json.loads(description.tokenizer_json)
    tokenizer["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": r"(a+)+\d"},
        "behavior": "Isolated",
        "invert": False,
    }
    return replace(description, tokenizer_json=json.dumps(tokenizer))


@pytest.mark.parametrize("task", TASKS)
def test_tokenizer_panic_is_one_records_error(task: str) -> None:
    good = "[MASK]" if task == "fill-mask" else "good"
    requests = [Request(good), Request("a" * 40), Request(good + " bad")]
    prepared = task_for(panicking(TASKS[task])).prepare(requests)
    refused = RecordError(Fault.INVALID_MESSAGE, "the tokenizer refuses the text: PanicException")
    assert prepared.rejected == {1: refused}
    assert len(prepared.packed.lengths) == (6 if task == "zero-shot" else 2)


def test_panic_over_a_label_is_its_messages_error() -> None:
    prepared = task_for(panicking(NLI)).prepare([Request("good", candidate_labels=("a" * 40,)), Request("good")])
    assert prepared.rejected.keys() == {0}
    assert len(prepared.packed.lengths) == 3


class Asked:
    """Records the texts that it tokenizes. `failing`: the error for texts with "fail"."""

    def __init__(self, tokenizer: Any, failing: BaseException | None = None) -> None:
        self._tokenizer, self._failing, self.texts = tokenizer, failing, []

    def encode_batch_fast(self, texts: list[str], **how: Any) -> Any:
        self.texts += texts
        if self._failing is not None and any("fail" in text for text in texts):
            raise self._failing
        return self._tokenizer.encode_batch_fast(texts, **how)


def asked(task: Any, failing: BaseException | None = None) -> Asked:
    """Disable a task's word cache, so that the tokenizer gets all texts."""
    tokenizer: TextTokenizer = task._task._tokenizer
    tokenizer._words = None
    spy: Any = Asked(tokenizer._tokenizer, failing)
    tokenizer._tokenizer = spy
    return spy


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_keyboard_interrupt_and_exit_are_raised(error: BaseException) -> None:
    task = task_for(PLAIN)
    asked(task, error)
    with pytest.raises(type(error)):
        task.prepare([Request("good"), Request("fail")])


@pytest.mark.parametrize("task", ["zero-shot", "fill-mask"])
def test_rejected_request_does_not_retokenize_neighbours(task: str) -> None:
    made = task_for(TASKS[task])
    spy = asked(made)
    bad = Request("no mask") if task == "fill-mask" else Request("good", candidate_labels=("x " * 30,))
    texts = [f"[MASK] {i}" for i in range(5)]
    prepared = made.prepare([*map(Request, texts[:3]), bad, *map(Request, texts[3:])])
    assert prepared.rejected.keys() == {3}
    assert [text for text in spy.texts if text in texts] == texts


def test_failed_batch_of_texts_is_tokenized_one_by_one() -> None:
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
def test_message_over_max_tokens_is_refused(task: str, request_: Request, tokens: int, sequences: int) -> None:
    """The other requests are answered."""
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
