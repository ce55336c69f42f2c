"""What is answered outlasts every attempt at the call."""

import numpy as np
import pytest

from labelstream.deploy.model_client import deadlines
from labelstream.deploy.model_client.call_limits import MAX_CALL_SEQUENCES
from labelstream.deploy.model_client.call_state import CallState, rows_of
from labelstream.workers.classifier import Fault, Prediction
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import ModelChanged
from tests.support.crashing_replica import innocent
from tests.support.fake_handle import FakeHandle, by_length, description, raising
from tests.support.slow_model import TIMEOUT_S, check, connected, insist, whole_failure
from tests.support.slow_replica import SlowHandle


def state(*lengths: int) -> CallState:
    ids = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return CallState(RaggedSequences(ids, np.array(lengths, np.int32)), 1, "one", ranked=True)


def put(work: CallState, *rows: int) -> None:
    ids, scores = np.zeros((len(rows), 1), np.int32), np.zeros((len(rows), 1), np.float32)
    work.put(rows_of(rows), ScoredSequences(ids, scores, {}))


def test_parts_hold_what_has_no_answer_in_order() -> None:
    work = state(2, 3, 9, 1, 4, 1)
    put(work, 1, 3)
    parts = list(work.parts(lambda: 6))
    assert [part.rows.tolist() for part in parts] == [[0], [2], [4, 5]]  # a longer sequence is a part of its own
    assert [part.packed.lengths.tolist() for part in parts] == [[2], [9], [4, 1]]
    assert [part.packed.ids.tolist() for part in parts] == [[0, 0], [2] * 9, [4, 4, 4, 4, 5]]
    assert [part.tokens for part in parts] == [2, 9, 5]
    assert [part.is_last for part in parts] == [False, False, True]


def test_whole_call_is_one_part_without_a_copy() -> None:
    work = state(2, 3)
    (part,) = work.parts(lambda: 5)
    assert part.packed is work.packed
    assert part.is_last


def test_limit_of_tokens_is_asked_for_with_each_part() -> None:
    limits = iter([1, 2, 4])
    assert [part.rows.tolist() for part in state(1, 1, 1, 1, 1).parts(lambda: next(limits))] == [[0], [1, 2], [3, 4]]


def test_part_has_no_more_sequences_than_one_serve_call() -> None:
    work = state(*[1] * (MAX_CALL_SEQUENCES + 1))
    assert [len(part.rows) for part in work.parts(lambda: 10**6)] == [MAX_CALL_SEQUENCES, 1]


def test_answered_call_has_no_parts() -> None:
    work = state(1, 1)
    put(work, 0, 1)
    assert list(work.parts(lambda: 10)) == []


def test_rows_as_a_part() -> None:
    part = state(2, 3, 1).part(rows_of([0, 2]))
    assert (part.packed.ids.tolist(), part.tokens) == ([0, 0, 2], 3)


@pytest.mark.usefixtures("fast")
def test_work_longer_than_timeout_is_done_once_in_one_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten times `call_timeout_s` of work: with eight parts of it at once, each would be late."""
    tokens_per_s = 20_000
    handle = SlowHandle(lambda packed: len(packed.ids) / tokens_per_s)
    texts = [f"{innocent(i)} {'a b c ' * 10}" for i in range(1_000)]
    monkeypatch.setattr(deadlines, "FIRST_TOKENS_PER_S", 2_000.0)
    monkeypatch.setattr(deadlines, "PART_S", TIMEOUT_S)
    with connected(handle) as classifier:
        answers, failed = insist(classifier, texts, max_attempts=1)
        needed = classifier.tokens
    check(texts, answers, Fault.TIMED_OUT)
    assert needed > 10 * TIMEOUT_S * tokens_per_s
    assert sum(tokens for tokens, _ in handle.ran) == needed
    assert failed == 0


@pytest.mark.usefixtures("fast")
def test_what_is_answered_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines.Deadlines, "part_tokens", lambda _: 30)
    texts = [f"{innocent(i)} c" for i in range(29)]
    handle = FakeHandle(by_length, by_length, raising(TypeError("a bug")), by_length)
    with connected(handle, 10.0) as classifier:
        answers, failed = insist(classifier, texts)
        tokens = classifier.tokens
    check(texts, answers, Fault.TIMED_OUT)
    assert failed == 1
    asked = [len(packed.ids) for packed, _, _ in handle.calls]
    assert sum(asked) - asked[2] == tokens == sum(len(text.split()) + 2 for text in texts)


@pytest.mark.usefixtures("fast")
def test_answers_of_another_revision_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines.Deadlines, "part_tokens", lambda _: 30)
    served = ["one"]
    texts = [f"{innocent(i)} c" for i in range(29)]

    def answer(packed: RaggedSequences, top_k: int, revision: str) -> ScoredSequences:
        if revision != served[0]:
            raise whole_failure(ModelChanged("another"))  # type: ignore[misc]
        if len(handle.calls) == 3:
            served[0] = "two"
        return by_length(packed, top_k, revision)

    handle = FakeHandle(answer, describe=lambda: description(served[0]))
    with connected(handle, 10.0) as classifier:
        answers, _ = insist(classifier, texts)
    assert {answer.revision for answer in answers if isinstance(answer, Prediction)} == {"two"}
    check(texts, answers, Fault.TIMED_OUT)
    needed = sum(len(text.split()) + 2 for text in texts)
    assert sum(len(packed.ids) for packed, _, revision in handle.calls if revision == "two") == needed
