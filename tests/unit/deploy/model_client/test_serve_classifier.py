"""ServeClassifier against a handle without Serve: cutting, retrying, changing models; every future resolves."""

import pickle
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.exceptions import BackPressureError

from labelstream.deploy.model_client.deadlines import Deadlines
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.workers.classifier import Answer, Fault, Prediction, RecordError, Request
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError, ModelChanged, StartError
from tests.support.fake_handle import FakeHandle, by_length, description, hanging, raising
from tests.support.models import build
from tests.support.slow_model import (
    connected,
    insist,
)
from tests.support.streams import wait_until

Connect = Callable[..., ServeClassifier]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """connect(handle, call_timeout_s) makes a classifier that is closed at the end."""
    made: list[ServeClassifier] = []

    def make(handle: FakeHandle, call_timeout_s: float = 10.0, **options: Any) -> ServeClassifier:
        made.append(ServeClassifier("m", handle, call_timeout_s, is_noted=handle.noted, **options))
        return made[-1]

    yield make
    for classifier in made:
        classifier.close()


def labels_of(answers: list[Answer]) -> list[str]:
    return [answer.labels[0] for answer in answers if isinstance(answer, Prediction)]


def test_one_call_carries_a_whole_micro_batch(connect: Connect) -> None:
    handle = FakeHandle()
    answers = connect(handle).submit([Request("a"), Request("a b"), Request("a b c")]).result(5)
    assert labels_of(answers) == ["yes", "no", "yes"]
    assert [answer.tokens for answer in answers if isinstance(answer, Prediction)] == [3, 4, 5]
    assert len(handle.calls) == 1
    assert handle.calls[0][1:] == (2, "one")


def test_message_of_too_many_tokens_is_refused_alone(connect: Connect) -> None:
    handle = FakeHandle()
    answers = connect(handle, max_tokens=4).submit([Request("a b"), Request("a b c"), Request("a")]).result(5)
    assert answers[1] == RecordError(Fault.TOO_LARGE, "5 tokens in 1 sequence; limits.max_tokens_per_message is 4")
    assert labels_of(answers) == ["no", "yes"]


def test_texts_go_over_grpc_and_the_tokenizer_does_not(connect: Connect) -> None:
    handle = FakeHandle()
    connect(handle)
    assert handle.options_of["classify"]["_by_reference"] is False
    assert handle.options_of["describe"]["_by_reference"] is True


def test_a_large_micro_batch_is_cut_and_joined_in_order(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadlines, "part_tokens", lambda _: 20)
    every = [" ".join(words) for length in range(1, 5) for words in product("abcd", repeat=length)]
    texts = random.Random(1).sample(every, 101)
    handle = FakeHandle()
    answers = connect(handle).submit([Request(text) for text in texts]).result(5)
    assert labels_of(answers) == ["no" if len(text.split()) % 2 == 0 else "yes" for text in texts]
    assert len(handle.calls) > 10
    assert all(len(packed.ids) <= 20 for packed, _, _ in handle.calls)


def test_the_pairs_of_one_message_may_take_several_calls(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Deadlines, "part_tokens", lambda _: 60)
    folder = build(tmp_path / "nli", "bert", labels=("contradiction", "neutral", "entailment"))
    requests = [
        Request("good " * (1 + i), candidate_labels=tuple(f"bad {label}" for label in range(1 + 9 * i)))
        for i in range(4)
    ]
    options = {"task": "zero-shot-classification", "device": "cpu", "dtype": "float32", "top_k": None}
    with Engine.load(str(folder), **options) as engine:
        handle = FakeHandle(
            lambda packed, top_k, _: engine._predictor.predict(packed, top_k), describe=lambda: engine.description
        )
        answers, expected = connect(handle).submit(requests).result(30), engine.classify(requests)
    assert len(handle.calls) > 8
    for answer, alone in zip(answers, expected, strict=True):
        assert isinstance(answer, Prediction)
        assert isinstance(alone, Prediction)
        assert answer.labels == alone.labels
        assert answer.scores == pytest.approx(alone.scores, abs=1e-6)


def test_functions_of_requests_reach_the_replica_in_every_part(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Deadlines, "part_tokens", lambda _: 20)
    functions = (None, "none", "sigmoid")
    requests = [Request(f"good {i}", function_to_apply=functions[i % 3]) for i in range(30)]
    with Engine.load(build(tmp_path / "model"), device="cpu", dtype="float32", backend="torch") as engine:

        def replica(packed: RaggedSequences, top_k: int, revision: str) -> ScoredSequences:
            return engine._predictor.predict(pickle.loads(pickle.dumps(packed)), top_k)

        handle = FakeHandle(replica, describe=lambda: engine.description)
        answers, expected = connect(handle).submit(requests).result(30), engine.classify(requests)
    assert len(handle.calls) > 3
    for answer, alone in zip(answers, expected, strict=True):
        assert isinstance(answer, Prediction)
        assert isinstance(alone, Prediction)
        assert answer.scores == pytest.approx(alone.scores, abs=1e-6)


def test_more_labels_make_smaller_calls(connect: Connect) -> None:
    many = tuple(f"label {i}" for i in range(5_000))
    handle = FakeHandle(lambda *_: pytest.fail("not asked"), describe=lambda: description(labels=many))
    sizes: list[int] = []

    def answer(packed: RaggedSequences, top_k: int, revision: str) -> ScoredSequences:
        sizes.append(len(packed.lengths) * top_k * 8)
        raise ValueError("enough")

    handle.answers = [answer]
    with pytest.raises(InferenceError):
        connect(handle).submit([Request("a", top_k=4_700 + number) for number in range(300)]).result(5)
    assert 900_000 < max(sizes) <= 1_000_000


@pytest.mark.parametrize(
    "error",
    [
        ActorDiedError(),
        ActorUnavailableError("gone", b"x" * 16),
        BackPressureError(3, 2),
        InferenceError("the device"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failures_of_transport_are_got_over(connect: Connect, error: Exception) -> None:
    handle = FakeHandle(raising(error), raising(error), by_length)
    assert labels_of(connect(handle).submit([Request("a")]).result(10)) == ["yes"]
    assert len(handle.calls) == 3


def test_only_the_failed_part_is_asked_again(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadlines, "part_tokens", lambda _: 3)
    handle = FakeHandle(by_length, raising(ActorDiedError()), by_length)
    assert len(connect(handle).submit([Request("a"), Request("b"), Request("c")]).result(10)) == 3
    assert len(handle.calls) == 4


def test_a_bug_of_the_replica_is_not_asked_again(connect: Connect) -> None:
    handle = FakeHandle(raising(TypeError("no such argument")))
    with pytest.raises(InferenceError, match="TypeError: no such argument"):
        connect(handle).submit([Request("a")]).result(5)
    assert len(handle.calls) == 1


def test_too_few_answers_are_none(connect: Connect) -> None:
    handle = FakeHandle(lambda packed, k, revision: by_length(packed._replace(lengths=packed.lengths[1:]), k, revision))
    with pytest.raises(InferenceError, match="1 answers for 2"):
        connect(handle).submit([Request("a"), Request("b")]).result(5)


@pytest.mark.parametrize("answer", [hanging, raising(ActorDiedError())], ids=["silence", "failures"])
def test_after_the_timeout_the_call_resolves(connect: Connect, answer: Callable[..., object]) -> None:
    handle = FakeHandle(answer)
    started = time.monotonic()
    with pytest.raises(InferenceError, match=r"no answer within 0\.5 s"):
        connect(handle, call_timeout_s=0.5).submit([Request("a")]).result(5)
    assert time.monotonic() - started < 2
    assert handle.cancelled == (1 if answer is hanging else 0)


def test_another_revision_is_prepared_for_anew(connect: Connect) -> None:
    revisions = iter(["one", "two", "three"])

    def answer(packed: RaggedSequences, top_k: int, revision: str) -> ScoredSequences:
        if revision != "two":
            raise ModelChanged("serving two")
        return by_length(packed, top_k, revision)

    classifier = connect(FakeHandle(answer, describe=lambda: description(next(revisions))))
    futures = [classifier.submit([Request("a"), Request("a b")]) for _ in range(5)]
    for future in futures:
        answers = future.result(5)
        assert labels_of(answers) == ["yes", "no"]
        assert [answer.revision for answer in answers if isinstance(answer, Prediction)] == ["two", "two"]
    assert classifier.description.revision == "two"


def test_a_model_that_keeps_changing_is_no_answer(connect: Connect) -> None:
    classifier = connect(FakeHandle(raising(ModelChanged("serving another"))))
    with pytest.raises(InferenceError, match="serving another"):
        classifier.submit([Request("a")]).result(5)


def test_rejected_requests_keep_their_places(connect: Connect) -> None:
    answers = connect(FakeHandle()).submit([Request("a"), Request("a", top_k=0), Request("a b")]).result(5)
    assert labels_of(answers) == ["yes", "no"]
    assert isinstance(answers[1], RecordError)
    assert answers[1].fault is Fault.INVALID_MESSAGE


def test_nothing_to_run_is_no_call(connect: Connect) -> None:
    handle = FakeHandle()
    answers = connect(handle).submit([Request("a", candidate_labels=("x",))]).result(5)
    assert isinstance(answers[0], RecordError)
    assert handle.calls == []


def test_closing_resolves_what_is_pending(connect: Connect) -> None:
    classifier = connect(FakeHandle(hanging))
    futures = [classifier.submit([Request("a")]) for _ in range(20)]
    classifier.close()
    classifier.close()
    for future in [*futures, classifier.submit([Request("a")])]:
        assert isinstance(future.exception(0), InferenceError)


def test_many_threads_get_their_own_answers(connect: Connect) -> None:
    classifier = connect(FakeHandle())

    def ask(i: int) -> bool:
        words = 1 + i % 4
        answers = classifier.submit([Request(" ".join("abcd"[:words]), top_k=1 + n) for n in range(7)]).result(10)
        return labels_of(answers) == ["no" if words % 2 == 0 else "yes"] * 7

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(200)))


def test_a_model_that_does_not_come_up_is_said_so() -> None:
    handle = FakeHandle(describe=lambda: raising(ActorUnavailableError("starting", b"x" * 16))(None, 0, ""))  # type: ignore[arg-type]
    with (
        pytest.raises(StartError, match=r"model m: no replica is up after 0\.3 s"),
        closing(ServeClassifier("m", handle, 1, ready_timeout_s=0.3, is_noted=handle.noted)),
    ):
        pass


def test_a_worker_needs_no_torch() -> None:
    code = (
        "import sys, labelstream.workers.stream.worker, labelstream.deploy.deployments.stream_worker\n"
        "import labelstream.deploy.model_client.serve_classifier\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


class Panic(BaseException):
    """As pyo3's PanicException."""


@pytest.mark.usefixtures("fast")
def test_a_panic_of_native_code_is_a_failure_of_the_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(FakeHandle(raising(Panic("in the replica's answer")), by_length)) as classifier:
        with pytest.raises(InferenceError, match="Panic"):
            classifier.submit([Request("a")]).result(5)
        task = type(classifier._served.current.task)
        with monkeypatch.context() as patch:
            patch.setattr(task, "prepare", lambda *_: raising(Panic("in the tokenizer"))(None, 0, ""))  # type: ignore[arg-type]
            with pytest.raises(InferenceError, match="Panic: in the tokenizer"):
                classifier.submit([Request("a")]).result(5)
        assert insist(classifier, ["a"], max_attempts=1)[1] == 0


def test_cancelled_call_is_cancelled_at_the_replica(connect: Connect) -> None:
    handle = FakeHandle(hanging)
    future = connect(handle).submit([Request("a")])
    wait_until(lambda: bool(handle.calls), 5, "the call")

    assert future.cancel()

    wait_until(lambda: handle.cancelled == 1, 5, "the cancelled call")


def test_cancelled_call_leaves_the_others_alone(connect: Connect) -> None:
    classifier = connect(FakeHandle())
    classifier.submit([Request("a")]).cancel()

    assert labels_of(classifier.submit([Request("a b")]).result(5)) == ["no"]
