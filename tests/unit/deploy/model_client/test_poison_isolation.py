"""Whoever kills replicas is refused, alone: neighbours, and calls that died along, are answered as ever."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.deploy.model_client import deadlines, retries
from labelstream.deploy.model_client.call_state import CallState, rows_of
from labelstream.deploy.model_client.failed_attempts import MAX_ALONE
from labelstream.deploy.model_client.poison_isolation import GROUP_SEQUENCES, TOGETHER_FAILURES
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.workers.classifier import Answer, Fault, Prediction, RecordError, Request
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError
from tests.support.crashing_replica import MortalHandle, innocent
from tests.support.fake_handle import FakeHandle, by_length

MAX_DEATHS = TOGETHER_FAILURES + 1 + MAX_ALONE  # of one poison record
CRASHED = RecordError(Fault.CRASHES_MODEL, "failed alone 3 times: a replica died (3)", MAX_DEATHS)


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retries, "FIRST_WAIT_S", 0.0)
        yield


@contextmanager
def connected(handle: FakeHandle, call_timeout_s: float = 30.0) -> Iterator[ServeClassifier]:
    with closing(ServeClassifier("m", handle, call_timeout_s, is_noted=handle.noted)) as classifier:
        yield classifier


def check(texts: Sequence[str], answers: Sequence[Answer]) -> None:
    for text, answer in zip(texts, answers, strict=True):
        if "d" in text:
            assert isinstance(answer, RecordError)
            assert answer.fault is Fault.CRASHES_MODEL
            assert answer.attempts >= MAX_ALONE
        else:
            assert isinstance(answer, Prediction)
            assert answer.tokens == len(text.split()) + 2
            assert answer.labels[0] == ("yes" if answer.tokens % 2 else "no")


POISONS = st.tuples(st.integers(0, 3), st.integers(0, 89), st.sampled_from(["d", "d a", "b d"]))  # call, row, text


@given(
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    poisons=st.lists(POISONS, max_size=4),
    replicas=st.integers(1, 3),
    mute=st.integers(0, 3),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_only_the_poison_is_refused(
    sizes: list[int], poisons: list[tuple[int, int, str]], replicas: int, mute: int
) -> None:
    calls = [[innocent(97 * call + i) for i in range(size)] for call, size in enumerate(sizes)]
    for call, row, text in poisons:
        calls[call % len(calls)][row % sizes[call % len(calls)]] = text
    handle = MortalHandle(replicas=replicas, mute=mute)
    with connected(handle) as classifier:
        futures = [classifier.submit([Request(text) for text in texts]) for texts in calls]
        for texts, future in zip(calls, futures, strict=True):
            check(texts, future.result(30))
        killers = [text for texts in calls for text in texts if "d" in text]
        assert len(classifier._sender._isolation.suspects) == len(set(killers))  # nothing is held against anybody else
    assert handle.deaths <= MAX_DEATHS * len(killers) + mute


@pytest.mark.parametrize("size", [GROUP_SEQUENCES + 1, 512])
def test_a_poison_record_costs_six_replicas_among_any_number(size: int) -> None:
    texts = [innocent(i) for i in range(size)]
    texts[size // 3] = "d"
    handle = MortalHandle()
    with connected(handle) as classifier:
        answers = classifier.submit([Request(text) for text in texts]).result(30)
        check(texts, answers)
        assert answers[size // 3] == CRASHED
        assert handle.deaths == MAX_DEATHS


def test_what_is_known_to_kill_kills_no_more() -> None:
    handle = MortalHandle()
    with connected(handle) as classifier:
        first = classifier.submit([Request("a"), Request("d")]).result(30)
        deaths = handle.deaths
        again = classifier.submit([Request("d"), Request("b c"), Request("d")]).result(30)
    check(["a", "d"], first)
    check(["d", "b c", "d"], again)
    assert handle.deaths == deaths


def test_a_death_for_other_reasons_is_got_over_in_one_call() -> None:
    deaths = iter([True])
    handle = MortalHandle(kills=lambda packed: next(deaths, False))
    texts = [innocent(i) for i in range(100)]
    with connected(handle) as classifier:
        check(texts, classifier.submit([Request(text) for text in texts]).result(30))
        assert len(classifier._sender._isolation.suspects) == 0  # nothing is held against those that passed
    assert handle.asked == 2


def test_poison_found_across_call_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "FIRST_TOKENS_PER_S", 1e6)
    handle = MortalHandle(replicas=1, restart_s=0.4)
    texts = [innocent(i) for i in range(40)]
    texts[7] = "d"
    timeouts = 0
    with connected(handle, call_timeout_s=0.3) as classifier:
        while True:
            try:
                answers = classifier.submit([Request(text) for text in texts]).result(30)
                break
            except InferenceError:
                timeouts += 1
                assert timeouts < 20
    check(texts, answers)
    assert timeouts >= MAX_ALONE
    assert 1 + MAX_ALONE <= handle.deaths <= MAX_DEATHS  # what was late together counts as well


def test_replicas_that_die_of_anything_blame_nobody() -> None:
    handle = MortalHandle(kills=lambda packed: True, mute=10**9)  # as with a good row, which goes before any note
    with connected(handle, call_timeout_s=0.5) as classifier, pytest.raises(InferenceError, match="no answer within"):
        classifier.submit([Request("a"), Request("b")]).result(30)
    assert handle.deaths > MAX_DEATHS


def test_refused_record_counts_attempts_of_dead_replicas() -> None:
    refused = RecordError(Fault.INFERENCE_FAILED, "ValueError", 2)

    def score(packed: RaggedSequences, top_k: int, revision: str) -> ScoredSequences:
        errors = {int(row): refused for row in np.flatnonzero(packed.lengths == 9)}
        return by_length(packed, top_k, revision)._replace(errors=errors)

    texts = ["a b c a b c a", "d", "b"]
    with connected(MortalHandle(score=score)) as classifier:
        answers = classifier.submit([Request(text) for text in texts]).result(30)
    assert answers[0] == refused._replace(attempts=2 + TOGETHER_FAILURES + 1)
    assert answers[1] == CRASHED
    assert isinstance(answers[2], Prediction)


@pytest.mark.parametrize("ranked", [True, False])
def test_what_is_refused_fits_the_answers_beside_it(ranked: bool) -> None:
    packed = RaggedSequences(np.arange(3, dtype=np.int32), np.ones(3, np.int32))
    work = CallState(packed, 2, "one", ranked)
    ids = np.array([[0, 1], [1, 0]], np.int32)
    scores = np.array([[0.5, 0.25], [0.75, 0.125]], np.float32)
    work.put(rows_of([0, 2]), ScoredSequences(ids if ranked else None, scores, {}))
    work.refuse(1, CRASHED)
    answer = work.answer()
    assert answer.errors == {1: CRASHED}
    assert answer.scores[[0, 2]].tolist() == [[0.5, 0.25], [0.75, 0.125]]
    assert (answer.label_ids is None) is not ranked
    for row in range(3):
        work.refuse(row, CRASHED)
    assert (work.answer().label_ids is None) is not ranked


def test_an_answer_of_another_shape_is_none() -> None:
    work = CallState(RaggedSequences(np.arange(3, dtype=np.int32), np.ones(3, np.int32)), 2, "one", ranked=True)
    ids, scores = np.zeros((2, 2), np.int32), np.zeros((2, 2), np.float32)
    for wrong in (
        ScoredSequences(ids[:1], scores[:1], {}),
        ScoredSequences(ids[:, :1], scores[:, :1], {}),
        ScoredSequences(None, scores, {}),
        ScoredSequences(ids[:1], scores, {}),
    ):
        with pytest.raises(ValueError, match="for 2 sequences"):
            work.put(rows_of([0, 1]), wrong)
    with pytest.raises(ValueError, match="3 of 3 sequences have no answer"):
        work.answer()
