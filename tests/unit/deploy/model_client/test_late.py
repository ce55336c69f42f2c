"""Slow models, records that take too long and models that are away: each is told from the others."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from ray.exceptions import RayTaskError

from labelstream.deploy.model_client import crash_budget, deadlines, retries
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.deploy.model_client.suspects import MAX_ALONE
from labelstream.workers.classifier import Answer, Fault, Prediction, Progress, RecordError, Request
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import FailedApart, InferenceError, ModelChanged
from tests.support.crashing_replica import MortalHandle, innocent
from tests.support.fake_handle import FakeHandle, by_length, description, raising
from tests.support.slow_replica import SlowHandle

POISON_ID = 6  # of the word "d"
TIMEOUT_S = 0.2
MAX_ATTEMPTS = 40


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become milliseconds: the assumed speed is high, and failures are asked again at once."""
    monkeypatch.setattr(deadlines, "FIRST_TOKENS_PER_S", 1e5)
    monkeypatch.setattr("labelstream.deploy.model_client.serve_client.ALIVE_S", 0.1)
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.0)


@contextmanager
def connected(handle: FakeHandle, call_timeout_s: float = TIMEOUT_S) -> Iterator[ServeClassifier]:
    with closing(ServeClassifier("m", handle, call_timeout_s, is_noted=handle.noted)) as classifier:
        yield classifier


def insist(classifier: ServeClassifier, texts: list[str], most: int = MAX_ATTEMPTS) -> tuple[list[Answer], int]:
    """The answers, asked for as the stream does, and how many attempts failed."""
    requests, progress = [Request(text) for text in texts], Progress()
    for failed in range(most):
        try:
            return classifier.submit(requests, progress).result(30), failed
        except InferenceError:
            pass
    raise AssertionError(f"no answer after {most} attempts")


def check(texts: list[str], answers: list[Answer], fault: Fault) -> None:
    for text, answer in zip(texts, answers, strict=True):
        if "d" in text:
            assert isinstance(answer, RecordError)
            assert answer.fault is fault
            assert answer.attempts >= MAX_ALONE
        else:
            assert isinstance(answer, Prediction)
            assert answer.labels[0] == ("yes" if answer.tokens % 2 else "no")
            assert answer.tokens == len(text.split()) + 2


def holds_poison(packed: RaggedSequences) -> bool:
    return bool((packed.ids == POISON_ID).any())


def test_work_that_takes_much_longer_than_a_call_may_is_done_once_and_in_one_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten times `call_timeout_s` of work: with eight parts of it at once, each would be late."""
    tokens_per_s = 20_000
    handle = SlowHandle(lambda packed: len(packed.ids) / tokens_per_s)
    texts = [f"{innocent(i)} {'a b c ' * 10}" for i in range(1_000)]
    monkeypatch.setattr(deadlines, "FIRST_TOKENS_PER_S", 2_000.0)
    monkeypatch.setattr(deadlines, "PART_S", TIMEOUT_S)
    with connected(handle) as classifier:
        answers, failed = insist(classifier, texts, most=1)
        needed = classifier.tokens
    check(texts, answers, Fault.TIMED_OUT)
    assert needed > 10 * TIMEOUT_S * tokens_per_s
    assert sum(tokens for tokens, _ in handle.ran) == needed
    assert failed == 0


@pytest.mark.parametrize("times", [1.5, 5.0])
def test_a_record_that_takes_too_long_is_refused_alone(times: float) -> None:
    texts = [innocent(i) for i in range(40)]
    texts[7] = "d"
    handle = SlowHandle(lambda packed: times * TIMEOUT_S if holds_poison(packed) else 0.001)
    with connected(handle) as classifier:
        answers, failed = insist(classifier, texts)
        check(texts, answers, Fault.TIMED_OUT)
        started = time.monotonic()
        check(["a", "d"], insist(classifier, ["a", "d"])[0], Fault.TIMED_OUT)  # known by now
        assert time.monotonic() - started < TIMEOUT_S
    assert failed >= MAX_ALONE


@pytest.mark.parametrize("gone", [True, False], ids=["no replica answers", "the device does not"])
def test_a_model_that_is_away_makes_nobody_a_dead_letter(gone: bool) -> None:
    texts = [innocent(i) for i in range(40)]
    handle = SlowHandle(lambda packed: 0.001)
    with connected(handle, 0.05) as classifier:
        if gone:
            handle.away = True
        else:
            handle._seconds = lambda packed: 3600.0
        progress = Progress()
        for _ in range(2 * MAX_ALONE):
            with pytest.raises(InferenceError, match="no answer within"):
                classifier.submit([Request(text) for text in texts], progress).result(30)
        if gone:
            assert len(classifier._isolation._suspects) == 0
            handle.away = False
        else:
            assert handle._device is not None
            classifier._loop.call_soon_threadsafe(handle._device.cancel)
            handle._seconds = lambda packed: 0.001
        answers, _ = insist(classifier, texts)
    check(texts, answers, Fault.TIMED_OUT)
    assert len(classifier._isolation._suspects) == 0


def whole_failure(error: InferenceError) -> BaseException:
    """As Ray hands it on from a replica."""
    return RayTaskError("classify", "traceback", error).as_instanceof_cause()


def test_a_record_on_which_the_model_fails_as_a_whole_is_refused_alone() -> None:
    class Broken(FakeHandle):
        def invoke(self, method: str, *args: object) -> object:
            if method != "describe" and holds_poison(args[0]):  # type: ignore[arg-type]
                raise whole_failure(InferenceError("the device") if method == "classify" else FailedApart("the device"))
            return super().invoke(method, *args)

    texts = [innocent(i) for i in range(40)]
    texts[7] = "d"
    with connected(Broken(), 10.0) as classifier:
        answers, failed = insist(classifier, texts)
    check(texts, answers, Fault.INFERENCE_FAILED)
    assert failed == 0


def test_a_model_that_fails_on_any_text_makes_nobody_a_dead_letter() -> None:
    fails = raising(whole_failure(InferenceError("the model fails on any text")))
    handle = FakeHandle(*[fails] * 30, by_length)
    with connected(handle, 10.0) as classifier:
        answers, _ = insist(classifier, ["a", "a b"])
    check(["a", "a b"], answers, Fault.INFERENCE_FAILED)


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


class Panic(BaseException):
    """As pyo3's PanicException."""


def test_a_panic_of_native_code_is_a_failure_of_the_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(FakeHandle(raising(Panic("in the replica's answer")), by_length)) as classifier:
        with pytest.raises(InferenceError, match="Panic"):
            classifier.submit([Request("a")]).result(5)
        task = type(classifier._served.current.task)
        with monkeypatch.context() as patch:
            patch.setattr(task, "prepare", lambda *_: raising(Panic("in the tokenizer"))(None, 0, ""))  # type: ignore[arg-type]
            with pytest.raises(InferenceError, match="Panic: in the tokenizer"):
                classifier.submit([Request("a")]).result(5)
        assert insist(classifier, ["a"], most=1)[1] == 0


def test_different_records_kill_so_many_replicas_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_budget, "MAX_DEATHS", 6)
    texts = [f"{innocent(i)} a a" for i in range(30)]
    for i in range(5):
        texts[6 * i] = "d" + " a" * i
    handle = MortalHandle()
    with connected(handle, 10.0) as classifier:
        progress, requests = Progress(), [Request(text) for text in texts]
        for _ in range(3):
            with pytest.raises(InferenceError, match="different records killed 6 replicas of model m "):
                classifier.submit(requests, progress).result(30)
            assert handle.deaths == 2 + 6
            assert classifier.trouble()
        others = classifier.submit([Request("a")]).result(30)
        assert isinstance(others[0], Prediction)
        while classifier.resume():  # five records kill more than six replicas
            try:
                check(texts, classifier.submit(requests, progress).result(30), Fault.CRASHES_MODEL)
            except InferenceError:
                assert classifier.trouble()
    assert classifier.trouble() == ""
    assert handle.deaths <= 2 + 5 * 4


def test_a_pause_ends_by_itself() -> None:
    now = [1_000.0]
    found = crash_budget.CrashBudget("m", lambda: now[0])
    for _ in range(crash_budget.MAX_DEATHS):
        found.risk()
        found.died()
        now[0] += 1
    assert found.trouble() == ""  # nobody has had to wait yet
    with pytest.raises(crash_budget.Paused):
        found.risk()
    assert "paused" in found.trouble()
    now[0] = 1_000 + crash_budget.WINDOW_S
    assert found.trouble() == ""
    found.risk()
    found.died()
    with pytest.raises(crash_budget.Paused):
        found.risk()
    assert found.resume()
    assert not found.resume()
    found.risk()
